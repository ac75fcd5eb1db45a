"""Names like a misspelled one, from the node's own images."""

import asyncio
from typing import cast

import pytest

from pullwhy.image import parse
from pullwhy.node.investigate.neighbours import similar_repositories
from pullwhy.runtime.cri import CRIClient, CRIError, Image

DIGEST = "sha256:" + "a" * 64
OWN = (
    Image("1", ("registry.example/shop/checkout:1",), (), 1, pinned=False),
    Image("2", (), (f"registry.example/shop/checkin@{DIGEST}",), 1, pinned=False),
    Image("3", ("other.example/shop/chekcout:1", "docker.io/library/nginx:1", "NOT AN IMAGE"), (), 1, pinned=False),
)


class FakeClient:
    """A runtime with these images."""

    def __init__(self, images: tuple[Image, ...] | None) -> None:
        self._images = images

    async def images(self) -> tuple[Image, ...]:
        if self._images is None:
            raise CRIError("Unavailable", "down")
        return self._images


def found(image: str, images: tuple[Image, ...] | None = OWN) -> tuple[str, ...]:
    client = cast("CRIClient", FakeClient(images))
    return asyncio.run(similar_repositories(client, parse(image)))


def test_the_same_registrys_repositories_are_compared_the_likest_first() -> None:
    assert found("registry.example/shop/chekcout:1") == ("shop/checkout", "shop/checkin")
    assert found("ngnix:1") == ("library/nginx",)


@pytest.mark.parametrize("image", ["third.example/shop/checkout:1", "registry.example/quite/different-altogether:1"])
def test_another_registry_or_an_unlike_name_suggests_nothing(image: str) -> None:
    assert found(image) == ()


def test_a_runtime_that_does_not_answer_suggests_nothing() -> None:
    assert found("registry.example/shop/chekcout:1", None) == ()
    assert asyncio.run(similar_repositories(None, parse("registry.example/a:1"))) == ()
