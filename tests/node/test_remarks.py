"""What the runtime's lines about hosts are kept for."""

from datetime import timedelta

import pytest
from node.fakes import IMAGE, at

from pullwhy.model import CauseId
from pullwhy.node.incidents.remarks import AGE, MAX_KEPT, MAX_TOLD, Remarks
from pullwhy.watch.events import RuntimeEvent, RuntimeEventKind

KIND = RuntimeEventKind
OTHER = "registry.example/shop/other:1"


def host_failed(error: str, host: str = "mirror.example:5000", seconds: float = 0) -> RuntimeEvent:
    return RuntimeEvent(at(seconds), "containerd.service", KIND.TRYING_NEXT_HOST, host=host, error=error)


def refused(repository: str = "shop/web", namespace: str = "registry.example") -> str:
    return f'failed to do request: Head "https://mirror.example:5000/v2/{repository}/manifests/1?ns={namespace}": dial tcp 192.0.2.1:5000: connect: connection refused'


@pytest.mark.parametrize(
    ("error", "under_way", "concerns"),
    [
        (refused(), (IMAGE, OTHER), True),
        (refused("shop/other"), (IMAGE,), False),
        (refused(namespace="else.example"), (IMAGE,), False),
        (refused(namespace="registry.example%3A5000"), (IMAGE,), False),
        ("503 Service Unavailable", (IMAGE,), True),
        ("503 Service Unavailable", ("registry.example/shop/web:1", OTHER), False),
        ("503 Service Unavailable", (OTHER,), False),
        ("503 Service Unavailable", (), False),
    ],
)
def test_a_line_is_about_the_repository_it_names_or_the_only_pull_under_way(
    error: str, under_way: tuple[str, ...], concerns: bool
) -> None:
    remarks = Remarks()
    remarks.observe(host_failed(error), under_way)
    assert bool(remarks.about(IMAGE, at(1))) is concerns


@pytest.mark.parametrize(
    ("host", "image", "concerns"),
    [
        ("old-registry.example", "new-registry.example/shop/web:1", False),
        ("old-registry.example", "old-registry.example/shop/web:1", True),
        ("old-registry.example", "old-registry.example:443/shop/web:1", True),
        ("old-registry.example:5000", "old-registry.example/shop/web:1", False),
        ("registry-1.docker.io", "shop/web:1", True),
        ("old-registry.example", "shop/web:1", False),
    ],
)
@pytest.mark.parametrize("named", [True, False], ids=["host named", "only the URL"])
def test_a_line_that_names_no_registry_is_about_the_host_that_was_asked(
    named: bool, host: str, image: str, concerns: bool
) -> None:
    remarks = Remarks()
    error = f'failed to do request: Head "https://{host}/v2/shop/web/manifests/1": dial tcp 192.0.2.1:443: connect: connection refused'
    remarks.observe(host_failed(error, host if named else ""), (image,))
    told = remarks.about(image, at(1))
    assert bool(told) is concerns
    assert not any(each.is_mirror for each in told)


@pytest.mark.parametrize(
    ("event", "cause"),
    [
        (host_failed(refused()), CauseId.CONNECTION_REFUSED),
        (host_failed("503 Service Unavailable"), CauseId.REGISTRY_SERVER_ERROR),
        (RuntimeEvent(at(0), "c", KIND.HOSTS_TOML_DECODE_ERROR, error="failed to decode hosts.toml: invalid `host` tree"), CauseId.RUNTIME_CONFIG_INVALID),
        (RuntimeEvent(at(0), "c", KIND.PULL_CANCELLED, image=IMAGE, error=f"cancel pulling image {IMAGE} because of no progress in 5m0s"), CauseId.PULL_STALLED),
    ],
)  # fmt: skip
def test_a_line_tells_a_cause_by_itself(event: RuntimeEvent, cause: CauseId) -> None:
    remarks = Remarks()
    remarks.observe(event, (IMAGE,))
    (remark,) = remarks.about(IMAGE, at(1))
    assert remark.cause is cause


@pytest.mark.parametrize(
    ("host", "mirror"), [("registry.example", False), ("registry.example:443", False), ("m.example", True)]
)
def test_every_host_but_the_registrys_own_is_a_mirror(host: str, mirror: bool) -> None:
    remarks = Remarks()
    remarks.observe(host_failed("404 Not Found", host), (IMAGE,))
    assert remarks.about(IMAGE, at(1))[0].is_mirror is mirror


def test_the_newest_line_of_each_host_counts_for_a_while() -> None:
    remarks = Remarks()
    for seconds, error in ((0, "500 Internal Server Error"), (5, "503 Service Unavailable")):
        remarks.observe(host_failed(error, seconds=seconds), (IMAGE,))
    assert [each.text for each in remarks.about(IMAGE, at(6))] == ["answered 503 Service Unavailable"]
    assert remarks.about(IMAGE, at(6) + AGE) == ()
    assert remarks.about(IMAGE, at(5) - timedelta(seconds=6)) == ()


def test_memory_and_answer_are_bounded() -> None:
    remarks = Remarks()
    for number in range(2 * MAX_KEPT):
        remarks.observe(host_failed("404 Not Found", f"m{number}.example"), (IMAGE,))
    assert len(remarks._kept) == MAX_KEPT
    assert len(remarks.about(IMAGE, at(1))) == MAX_TOLD


def test_no_image_is_no_remark() -> None:
    assert Remarks().about("NOT AN IMAGE", at(0)) == ()
