"""Limits of the kernel, read from a made tree."""

from pathlib import Path

import pytest

from pullwhy.runtime.host.kernel import NetworkLimits, network_limits


def tree(root: Path, **values: str) -> Path:
    for name, value in values.items():
        path = root / "sys/net" / ("ipv4" if name.startswith("ip_") else "netfilter") / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(value)
    return root


def test_the_table_and_the_ports_are_read(tmp_path: Path) -> None:
    made = tree(tmp_path, nf_conntrack_count="17\n", nf_conntrack_max="4096\n", ip_local_port_range="32768\t60999\n")
    assert network_limits(made) == NetworkLimits((17, 4096), (32768, 60999))


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"nf_conntrack_count": "17"},
        {"nf_conntrack_count": "17", "nf_conntrack_max": "0"},
        {"nf_conntrack_count": "", "nf_conntrack_max": "many"},
        {"ip_local_port_range": "1"},
        {"ip_local_port_range": "x" * 1000},
    ],
)
def test_what_cannot_be_read_is_unknown(tmp_path: Path, values: dict[str, str]) -> None:
    assert network_limits(tree(tmp_path, **values)) == NetworkLimits()


def test_this_machine_has_local_ports() -> None:
    ports = network_limits(Path("/proc")).local_ports
    assert ports
    assert 0 < ports[0] <= ports[1] < 65536
