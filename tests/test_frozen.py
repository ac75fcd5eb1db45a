import copy
import gc
import pickle
from dataclasses import FrozenInstanceError, dataclass, field, fields, replace

import pytest

from pullwhy.frozen import frozen


@frozen
class Place:
    """Where."""

    host: str
    port: int = 443
    token: str = field(default="", repr=False, compare=False)


@frozen(kw_only=True)
class Road:
    start: Place
    end: Place


@frozen
class Farther(Place):
    zone: str = ""


@frozen
class Nothing:
    pass


@frozen
class Folded:
    name: str

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Folded) and self.name.lower() == other.name.lower()

    def __hash__(self) -> int:
        return hash(self.name.lower())

    def __repr__(self) -> str:
        return f"<{self.name}>"


@dataclass(frozen=True, slots=True)
class Plain:
    host: str
    port: int = 443
    token: str = field(default="", repr=False, compare=False)


def test_it_compares_hashes_and_shows_itself_as_a_dataclass_does() -> None:
    assert Place("a") == Place("a", 443, "secret")
    assert hash(Place("a")) == hash(Place("a", 443, "secret"))
    assert len({Place("a"), Place("a", 1), Place("b"), Place("a")}) == 3
    others: list[object] = [Plain("a"), Farther("a")]
    assert Place("a") not in others
    assert repr(Place("a", 1, "secret")) == repr(Plain("a", 1, "secret")).replace("Plain", "Place")
    assert (Nothing(), hash(Nothing()), repr(Nothing())) == (Nothing(), hash(Nothing()), "Nothing()")


def test_what_a_class_defines_itself_stays() -> None:
    assert Folded("A") == Folded("a")
    assert hash(Folded("A")) == hash(Folded("a"))
    assert repr(Folded("A")) == "<A>"


def test_it_is_frozen_and_has_slots() -> None:
    place = Place("a")
    with pytest.raises(FrozenInstanceError, match="cannot assign to field 'port'"):
        place.port = 1  # type: ignore[misc]
    with pytest.raises(FrozenInstanceError, match="cannot delete field 'port'"):
        del place.port
    assert not hasattr(place, "__dict__")
    assert Place.__doc__ == "Where."


def test_it_can_be_replaced_copied_and_pickled() -> None:
    road = Road(start=Place("a"), end=Farther("b", zone="z"))
    assert replace(road, end=Place("c")).end == Place("c")
    assert copy.deepcopy(road) == road
    assert pickle.loads(pickle.dumps(road)) == road
    assert [each.name for each in fields(Farther)] == ["host", "port", "token", "zone"]
    with pytest.raises(TypeError):
        Road(Place("a"), Place("b"))  # type: ignore[call-arg]


def test_nothing_keeps_the_class_alive_that_it_was_made_from() -> None:
    gc.collect()
    alive = [each for each in gc.get_objects() if isinstance(each, type) and each.__qualname__ == "Place"]
    assert [each for each in alive if each.__module__ == Place.__module__] == [Place]


def test_a_class_has_no_methods_of_its_own_but_the_one_that_makes_it() -> None:
    shared = ("__eq__", "__hash__", "__repr__", "__setattr__", "__delattr__")
    assert all(getattr(Place, name) is getattr(Road, name) for name in shared)
