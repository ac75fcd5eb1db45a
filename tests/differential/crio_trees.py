"""Random trees of registries.conf, its drop-ins, certs.d and policy.json: what administrators write, rightly and wrongly."""

import dataclasses
import json
from collections.abc import Mapping
from typing import Any, TypeVar

from hypothesis import strategies as st

from differential.names import PLACES, REGISTRY, Manner, Place
from differential.trees import manners, shown

CONTAINERS = "/etc/containers"
CONF = f"{CONTAINERS}/registries.conf"
USER = "/root/.config/containers/registries.conf"
POLICY = f"{CONTAINERS}/policy.json"
CERTS = ("/root/.config/containers/certs.d", f"{CONTAINERS}/certs.d", "/etc/docker/certs.d")
ACCEPT = [{"type": "insecureAcceptAnything"}]
REJECT = [{"type": "reject"}]

NAMES = (
    *(f"{REGISTRY}/a/b", f"{REGISTRY}/a/b/c", f"{REGISTRY}:5000/a/b", f"{REGISTRY}:443/a/b", "docker.io/library/x"),
    *("docker.io/a/b", "localhost:5000/a/b", "localhost/a/b", "m1.lab.test/a/b"),
)


@dataclasses.dataclass(frozen=True, slots=True)
class Tree:
    """The files by path, the image's name, whether the system trusts what servers show, and how each place behaves."""

    name: str
    trusted: bool
    files: Mapping[str, str | None]
    manners: Mapping[Place, Manner]

    def __repr__(self) -> str:
        head = (f"image {self.name}", f"trusted by the system: {self.trusted}")
        return shown(*head, files=self.files, manners=self.manners)

    def _repr_pretty_(self, printer: Any, _cycle: bool) -> None:
        printer.text("(as above)")


hosts = st.sampled_from(
    ["m1.lab.test", "m2.lab.test", "m3.lab.test", REGISTRY, "localhost", "docker.io", "M2.lab.test"]
)
right_locations = st.builds(
    "{}{}{}".format,
    hosts,
    st.sampled_from(["", "", ":5000", ":443", ":80"]),
    st.sampled_from(["", "", "/a", "/cache", "/x/y"]),
)
odd_locations = st.sampled_from(
    [
        *(
            "https://m1.lab.test",
            "http://m1.lab.test/a",
            "m1",
            "m1/a",
            "m1.lab.test/A",
            "m1.lab.test:",
            "m1.lab.test//a",
            "",
            "/",
            "m1.lab.test/a/",
        ),
        *(
            "m1.lab.test/a:1",
            "index.docker.io",
            "docker.io",
            "u:p@m1.lab.test",
            "m1.lab.test:5o",
            "*.lab.test",
            "m1_x.lab.test",
        ),
    ]
)


def prefixes(name: str) -> st.SearchStrategy[str]:
    """Return prefixes that fit a name, most often."""
    parts = name.split("/")
    domain = parts[0].partition(":")[0]
    fitting = ["/".join(parts[: number + 1]) for number in range(len(parts))]
    wild = [f"*.{domain.partition('.')[2]}", "*.test"] if "." in domain else []
    others = [domain, f"{domain}:5000", "lab.test", f"{parts[0]}/", "docker.io", "*"]
    odd = st.sampled_from(["*.lab.test/a", "*.lab.test:5000", "", "https://m1.lab.test"])
    return chances(st.sampled_from([*fitting * 3, *wild * 2, *others]), odd, 25)


T = TypeVar("T")
Files = dict[str, str | None]


def chances(often: st.SearchStrategy[T], seldom: st.SearchStrategy[T], odds: int) -> st.SearchStrategy[T]:
    """Return one or the other, the first about *odds* times as often: st.one_of holds equal strategies for one, and ends are drawn too often."""
    return st.sampled_from(range(odds + 1)).flatmap(lambda number: seldom if number == (odds + 1) // 2 else often)


def flag(name: str, odds: int) -> st.SearchStrategy[str]:
    """Return a line that sets a flag, or none."""
    return chances(st.sampled_from(["", f"{name} = false\n"]), st.just(f"{name} = true\n"), odds)


def value(name: str, values: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Return a line that sets a text."""
    return values.map(lambda text: f"{name} = {json.dumps(text)}\n")


def mirrors(*, right: bool, whole: bool) -> st.SearchStrategy[str]:
    """Return one [[registry.mirror]]; *whole* where the prefix is a whole name, so that a location needs a path."""
    pull = st.sampled_from(["all", "digest-only", "tag-only", *([] if right else ["tags", ""])])
    locations = right_locations if right else chances(right_locations, odd_locations, 1)
    if right and whole:
        locations = locations.map("{}/whole".format)
    parts = [
        value("location", locations),
        flag("insecure", 2),
        chances(st.just(""), value("pull-from-mirror", pull), 2),
    ]
    return st.tuples(*parts).map(lambda lines: "[[registry.mirror]]\n" + "".join(lines))


@st.composite
def registries(draw: st.DrawFn, name: str) -> str:
    """Return one [[registry]]."""
    right = draw(chances(st.just(value=True), st.just(value=False), 15))
    text = "[[registry]]\n"
    prefix = draw(prefixes(name))
    location = draw(
        chances(st.just(prefix), right_locations, 1) if right else chances(right_locations, odd_locations, 1)
    )
    wild = prefix.startswith("*.")
    if right and prefix == name and "/" not in location:
        location += "/whole"
    form = draw(st.sampled_from(["both", "location", "both", "location", *([] if right and not wild else ["prefix"])]))
    if form == "both" or (form == "location" and wild):
        text += f"prefix = {json.dumps(prefix)}\n"
        text += (
            ""
            if wild and draw(st.booleans())
            else f"location = {json.dumps(location if not wild or location != prefix else 'm1.lab.test')}\n"
        )
    else:
        text += f"{form} = {json.dumps(prefix)}\n"
    text += draw(flag("insecure", 2)) + draw(flag("blocked", 6))
    several = [draw(mirrors(right=right, whole=prefix == name)) for _ in range(draw(st.sampled_from([0, 1, 1, 2, 3])))]
    if draw(chances(st.just(value=False), st.just(value=True), 7)):
        text += "mirror-by-digest-only = true\n"
        several = [mirror.replace("pull-from-mirror", "comment") for mirror in several] if right else several
    return text + "".join(several)


tops = st.tuples(
    st.sampled_from(
        [
            "",
            "",
            'unqualified-search-registries = ["docker.io", "m1.lab.test:5000"]\n',
            "unqualified-search-registries = []\n",
        ]
    ),
    st.sampled_from([""] * 4 + ['short-name-mode = "enforcing"\n', 'short-name-mode = "permissive"\n']),
).map("".join)
odd_tops = st.sampled_from(
    [
        *(
            'unqualified-search-registries = ["docker.io/a"]\n',
            "unqualified-search-registries = [5]\n",
            'short-name-mode = "strict"\n',
        ),
        *(
            "registry = 5\n",
            "blocked\n",
            'unqualified-search-registries = ["https://m1.lab.test"]\n',
            'unknown = "key"\n',
            "[registries]\n",
        ),
    ]
)
aliases = chances(
    st.sampled_from(["", '[aliases]\n"x" = "m1.lab.test/x"\n"y/z" = ""\n']),
    st.sampled_from(['[aliases]\n"x:1" = "m1.lab.test/x"\n', '[aliases]\n"x" = "x"\n', '[aliases]\n"x" = 5\n']),
    40,
)
# Never empty: an empty list counts as absent for containers/image 5.23, and as present for later ones.
# Never empty: an empty list counts as absent for containers/image 5.23, and as present for later ones.
old_names = st.lists(
    st.sampled_from([REGISTRY, f"{REGISTRY}:5000", "docker.io", "docker.io/a", "localhost:5000"]),
    min_size=1,
    max_size=2,
)
old_form = st.builds(
    "[registries.insecure]\nregistries = {}\n[registries.block]\nregistries = {}\n".format,
    old_names.map(json.dumps),
    old_names.map(json.dumps),
)


def confs(name: str, *, drop_in: bool) -> st.SearchStrategy[str]:
    """Return the text of one file."""
    tables = st.lists(registries(name), min_size=1, max_size=2).map("".join)
    new = st.tuples(chances(tops, odd_tops, 25), tables, aliases).map("".join)
    return chances(new, old_form, 40 if drop_in else 15)


def directory(name: str) -> st.SearchStrategy[Mapping[str, str | None]]:
    """Return what is in one directory of certs.d, by path below it."""
    good: Files = {"ca.crt": "@ca"}
    pair: Files = {"client.cert": "@cert-1", "client.key": "@key-1"}
    other: Files = {"a.cert": "@cert-2", "a.key": "@key-2"}
    right: list[Files] = [good, good, good, good | {"b.crt": "@other-ca"}, good | pair, pair, good | pair | other]
    right += [{"ca.crt": "@other-ca"}, {"": None}, {"sub/ca.crt": "@ca"}, {"ca.pem": "@ca"}]
    wrong: list[Files] = [{"ca.crt": "text"}, {"client.cert": "@cert-1"}, {"client.key": "@key-1"}, {"x.crt": None}]
    wrong += [good | {"client.cert": "text", "client.key": "@key-1"}, pair | {"client.key": "@key-2"}]
    return chances(st.sampled_from(right), st.sampled_from(wrong), 9).map(
        lambda files: {f"{name}/{inner}" if inner else name: text for inner, text in files.items()}
    )


def certificates(name: str) -> st.SearchStrategy[Mapping[str, str | None]]:
    """Return directories for the image's registry and for mirrors."""
    domain = name.partition("/")[0]
    names = st.sampled_from(
        [
            domain,
            domain,
            f"{REGISTRY}:5000",
            "m1.lab.test",
            "m2.lab.test:5000",
            "m3.lab.test",
            "docker.io",
            "registry-1.docker.io",
        ]
    )
    places = st.builds("{}/{}".format, st.sampled_from([*CERTS, CERTS[1]]), names)
    return st.lists(places.flatmap(directory), max_size=4).map(
        lambda found: {path: text for one in found for path, text in one.items()}
    )


def policies(name: str) -> st.SearchStrategy[str | None]:
    """Return a policy.json that accepts, most often."""
    domain, _, path = name.partition("/")
    scopes = st.dictionaries(
        st.sampled_from(
            [name, f"{name}:t", domain, f"{domain}/{path.partition('/')[0]}", "*.lab.test", "*.test", "", "other.test"]
        ),
        st.sampled_from([ACCEPT, REJECT, REJECT]),
        max_size=3,
    )
    drawn = st.builds(
        lambda default, docker: json.dumps({"default": default, "transports": {"docker": docker}}),
        st.sampled_from([ACCEPT, REJECT]),
        scopes,
    )
    odd = st.sampled_from(
        [
            None,
            "",
            "{",
            "[]",
            "{}",
            '{"default": []}',
            json.dumps({"default": [{"type": "x"}]}),
            json.dumps({"default": ACCEPT, "x": 1}),
        ]
    )
    accepting = st.just(json.dumps({"default": ACCEPT}))
    return chances(chances(accepting, drawn, 4), odd, 20)


@st.composite
def trees(draw: st.DrawFn) -> Tree:
    """Return a tree."""
    name = draw(st.sampled_from(NAMES))
    files: dict[str, str | None] = {}
    main = draw(st.sampled_from([CONF] * 12 + ["", USER]))
    if main:
        files[main] = draw(confs(name, drop_in=False))
    for folder in draw(st.sampled_from([[], [f"{CONF}.d"], [f"{CONF}.d"], [f"{CONF}.d", f"{USER}.d"]])):
        for file in draw(
            st.lists(
                st.sampled_from(["01.conf", "50-a.conf", "99.conf", "a.toml", "sub/a.conf"]), max_size=2, unique=True
            )
        ):
            files[f"{folder}/{file}"] = draw(confs(name, drop_in=True))
    files |= draw(certificates(name))
    policy = draw(policies(name))
    if policy is not None:
        files[POLICY] = policy
    return Tree(
        name,
        draw(chances(st.just(value=True), st.just(value=False), 2)),
        files,
        {place: draw(manners) for place in PLACES},
    )
