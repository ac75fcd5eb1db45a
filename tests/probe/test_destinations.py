from dataclasses import replace

import pytest
from walking.plans import plan_for

from pullwhy.plan import WalkPlan
from pullwhy.probe.destinations import Destinations, Origin, parse_address

OWN = "registry.test"


def rules(*, local: bool = False, trusted: tuple[str, ...] = (), forbidden: tuple[str, ...] = ()) -> Destinations:
    plan: WalkPlan = replace(
        plan_for(443), local_addresses_allowed=local, trusted_hosts=trusted, forbidden_addresses=forbidden
    )
    return Destinations.of(plan)


NEVER = (
    "169.254.169.254",
    "169.254.0.1",
    "100.100.100.200",
    "168.63.129.16",
    "192.0.0.192",
    "0.0.0.0",
    "0.1.2.3",
    "224.0.0.1",
    "255.255.255.255",
    "::",
    "fe80::1",
    "ff02::1",
    "fd00:ec2::254",
    "fd20:ce::254",
    "::ffff:169.254.169.254",
    "64:ff9b::169.254.169.254",
    "64:ff9b:1::a9fe:a9fe",
    "64:ff9b:1:a9fe:a9:fe00:808:808",
    "64:ff9b:1:a9:fe:a9fe:808:808",
    "64:ff9b:1:0:a9:fea9:fe08:808",
    "64:ff9b:1::",
    "2002:a9fe:a9fe::1",
    "::169.254.169.254",
)


@pytest.mark.parametrize("origin", list(Origin))
@pytest.mark.parametrize("address", NEVER)
def test_link_local_and_metadata_addresses_are_never_dialled(address: str, origin: Origin) -> None:
    everything = rules(local=True, trusted=(OWN,))
    assert everything.refuses(address, 443, OWN, origin, OWN)


@pytest.mark.parametrize(
    "address", ["93.184.216.34", "2606:2800:220:1::1", "64:ff9b::8.8.8.8", "64:ff9b:1::8.8.8.8", "::ffff:8.8.8.8"]
)
@pytest.mark.parametrize("origin", list(Origin))
def test_public_addresses_are_dialled(address: str, origin: Origin) -> None:
    assert not rules().refuses(address, 443, "elsewhere.test", origin, OWN)


PRIVATE = (
    "10.0.0.1",
    "172.16.3.4",
    "192.168.1.1",
    "100.64.0.1",
    "fd12:3456::1",
    "::ffff:10.0.0.1",
    "64:ff9b::10.0.0.1",
)
LOOPBACK = ("127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1")


@pytest.mark.parametrize(
    ("origin", "host", "local", "private", "loopback"),
    [
        (Origin.ENDPOINT, OWN, False, False, False),
        (Origin.ENDPOINT, OWN, True, True, True),
        (Origin.INDIRECT, "other.test", False, False, False),
        (Origin.INDIRECT, "other.test", True, True, False),
        (Origin.INDIRECT, "Registry.Test.", True, True, True),
        (Origin.INDIRECT, OWN, False, False, False),
        (Origin.INDIRECT, "mirror.test", False, True, True),
        (Origin.NODE, "proxy.test", False, True, True),
    ],
)
def test_private_and_loopback_addresses_depend_on_who_named_them(
    origin: Origin, host: str, local: bool, private: bool, loopback: bool
) -> None:
    checked = rules(local=local, trusted=("mirror.test",))
    assert [not checked.refuses(address, 443, host, origin, OWN) for address in PRIVATE] == [private] * len(PRIVATE)
    assert [not checked.refuses(address, 443, host, origin, OWN) for address in LOOPBACK] == [loopback] * len(LOOPBACK)


def test_the_plan_forbids_networks_addresses_ports_and_names() -> None:
    checked = rules(
        local=True,
        trusted=(OWN,),
        forbidden=("203.0.113.0/24", "10.96.0.1", "10.0.0.5:6443", "[fd00::5]:6443", "api.test:6443", "api.example"),
    )
    assert checked.refuses("203.0.113.9", 443, OWN, Origin.ENDPOINT, OWN)
    assert checked.refuses("::ffff:10.96.0.1", 443, OWN, Origin.ENDPOINT, OWN)
    assert checked.refuses("10.0.0.5", 6443, OWN, Origin.ENDPOINT, OWN)
    assert not checked.refuses("10.0.0.5", 5000, OWN, Origin.ENDPOINT, OWN)
    assert checked.refuses("fd00::5", 6443, OWN, Origin.ENDPOINT, OWN)
    assert checked.refuses_name("API.test")
    assert checked.refuses_name("api.example.")


@pytest.mark.parametrize(
    "host",
    ["metadata.google.internal", "METADATA", "instance-data.ec2.internal.", "2852039166", "0xa9.254.0x1", "10.1"],
)
def test_names_of_metadata_services_and_numbers_in_disguise_are_not_asked_for(host: str) -> None:
    assert rules(local=True).refuses_name(host)


@pytest.mark.parametrize("host", ["registry.test", "10.0.0.1", "fd00::1", "registry-1.docker.io", "1.example.com"])
def test_ordinary_names_may_be_asked_for(host: str) -> None:
    assert not rules().refuses_name(host)


def test_what_is_no_address_is_refused() -> None:
    assert rules(local=True).refuses("registry.test", 443, OWN, Origin.ENDPOINT, OWN)
    assert parse_address("[::1]") == parse_address("::1")
    assert parse_address("0177.0.0.1") is None
