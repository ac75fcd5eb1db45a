"""The deprecated `mirrors` and `configs` of config.toml: whom the real containerd contacts, and where its CRI plugin does not start."""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from differential.compare import Counts, difference
from differential.machine import ROOTS, Machine
from differential.names import PLACES, REGISTRY, Manner, Place
from differential.trees import Tree, manners, sampled

pytestmark = [pytest.mark.lab, pytest.mark.timeout(900)]

CERTIFICATES = "/etc/lab"
REGISTRIES = (REGISTRY, f"{REGISTRY}:5000", "docker.io", "localhost:5000")


@dataclasses.dataclass(frozen=True, slots=True)
class Inline:
    """A registry table of config.toml, and how each place behaves."""

    config_path: str
    registry: Mapping[str, Any]
    manners: Mapping[Place, Manner]


addresses = st.sampled_from(
    [
        *(
            "http://m1.lab.test:5000",
            "https://m2.lab.test",
            "m3.lab.test:5000",
            "http://m1.lab.test:5000/proxy/",
            "http://m1.lab.test/v2",
        ),
        *(
            f"https://{REGISTRY}",
            f"http://{REGISTRY}:5000",
            "localhost:5000",
            "http://m1.lab.test:5000/",
            "https://m2.lab.test:443",
        ),
        *("registry-1.docker.io", "http://m1 .lab.test", "ftp://m1.lab.test", "https://m1.lab.test:99999", ""),
    ]
)
mirrors = st.dictionaries(
    st.sampled_from([REGISTRY, "*", f"{REGISTRY}:5000", "docker.io", "localhost:5000"]),
    st.lists(addresses, max_size=3).map(lambda found: {"endpoint": found}),
    min_size=1,
    max_size=2,
)
tls = st.sampled_from(
    [
        {"ca_file": f"{CERTIFICATES}/ca.crt"},
        {"insecure_skip_verify": True},
        {
            "ca_file": f"{CERTIFICATES}/ca.crt",
            "cert_file": f"{CERTIFICATES}/c.cert",
            "key_file": f"{CERTIFICATES}/c.key",
        },
        {"ca_file": f"{CERTIFICATES}/missing.crt"},
        {"ca_file": f"{CERTIFICATES}/ca.crt", "cert_file": f"{CERTIFICATES}/c.cert"},
        {"cert_file": f"{CERTIFICATES}/c.cert", "key_file": f"{CERTIFICATES}/wrong.key", "insecure_skip_verify": True},
    ]
)
configs = st.dictionaries(
    st.sampled_from(["m2.lab.test", REGISTRY, f"{REGISTRY}:5000", "registry-1.docker.io", "m3.lab.test:5000"]),
    tls.map(lambda found: {"tls": found}),
    max_size=2,
)
inlines = st.builds(
    Inline,
    st.sampled_from(["", "", "", ROOTS[0]]),
    st.one_of(
        st.fixed_dictionaries({"mirrors": mirrors, "configs": configs}),
        st.fixed_dictionaries({"mirrors": mirrors, "headers": st.just({"X-Lab-H": ["1"]})}),
        st.fixed_dictionaries({"configs": configs}),
    ),
    st.fixed_dictionaries(dict.fromkeys(PLACES, manners)),
)


@pytest.fixture
def bare(machine: Machine) -> Iterator[Machine]:
    """Return a machine whose configuration may be changed: it is set back afterwards."""
    before = machine.containerd.settings
    machine.write_tree({})
    for name, token in (("ca.crt", "@ca"), ("c.cert", "@cert-1"), ("c.key", "@key-1"), ("wrong.key", "@key-2")):
        machine.namespace.write(f"{CERTIFICATES}/{name}", machine.certificates.tokens[token])
    yield machine
    machine.containerd.configure(before)
    assert machine.restart()


def test_inline_mirrors_lead_where_pullwhy_says(bare: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    counts, silent = Counts(), [0]

    @sampled(12)
    @given(inline=inlines, registry=st.sampled_from(REGISTRIES))
    def agree(inline: Inline, registry: str) -> None:
        settings = dataclasses.replace(
            bare.containerd.settings, config_path=inline.config_path, registry=inline.registry
        )
        bare.containerd.configure(settings)
        serves = bare.restart()
        counts.trees += 1
        said = [problem.detail for problem in bare.view().config.problems]  # type: ignore[union-attr]  # it is containerd
        assert serves is not any("CRI plugin does not start" in detail for detail in said), f"{inline}\n{said}"
        silent[0] += not serves
        if serves:
            tree = Tree(registry, {}, inline.manners)
            for by_digest in (True, False):
                found = difference(bare, tree, by_digest, counts)
                assert not found, f"{inline}\n{found}"

    try:
        agree()
    finally:
        with capsys.disabled():
            print(f"\n  containerd {bare.version}, inline: {dataclasses.asdict(counts)}, CRI plugin down: {silent[0]}")
