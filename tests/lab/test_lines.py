"""The kubelet's lines about a failing pull; the expected ones have the form of recordings of the three versions."""

import datetime as dt

import pytest

from lab.errors import LabError
from lab.kubelet import lines
from lab.kubelet.klog import Entry, text
from lab.kubelet.lines import Failure, RpcError
from lab.kubelet.pods import Container, Pod
from lab.kubelet.providers import ProviderFailure

WHEN = dt.datetime(2026, 11, 22, 8, 10, 38, 1, tzinfo=dt.UTC)
IMAGE = "reg.lab.test:5000/app:1"
POD = Pod("default", "web-0", "0f0f", (Container("app", IMAGE, "Always"),))
NOT_FOUND = RpcError("NotFound", f'failed to pull and unpack image "{IMAGE}": {IMAGE}: not found')
UNKNOWN = RpcError("Unknown", "403 Forbidden\ndenied: no")


def body(entry: Entry) -> str:
    return text(entry, WHEN, 7).partition("] ")[2]


@pytest.mark.parametrize("version", lines.STYLES)
def test_the_start_tells_the_version(version: str) -> None:
    told = body(lines.started(lines.style(version)))
    assert told.startswith(f'"Kubelet version" kubeletVersion="v{version}.')


PROVIDER = ProviderFailure("cr", "reg.lab.test/app", "exit status 1: no identity\n")


def test_a_providers_failure_is_unstructured_in_old_kubelets_and_has_keys_in_new_ones() -> None:
    old = body(lines.provider_failed(lines.style("1.31"), PROVIDER))
    assert old == f"Failed getting credential from external registry credential provider: {PROVIDER.error.strip()}"
    new = body(lines.provider_failed(lines.style("1.36"), PROVIDER))
    assert new.startswith('"Failed to provide credentials for image" err=<\n\texit status 1: no identity\n')
    assert new.endswith(' provider="cr" image="reg.lab.test/app"')


@pytest.mark.parametrize("version", lines.STYLES)
def test_the_client_tells_the_code_that_says_nothing_too(version: str) -> None:
    told = body(lines.pull_failed(lines.style(version), RpcError("Unknown", "no"), IMAGE))
    assert told == f'"PullImage from image service failed" err="rpc error: code = Unknown desc = no" image="{IMAGE}"'


@pytest.mark.parametrize(
    ("version", "error"), [("1.27", "rpc error: code = Unknown desc = no"), ("1.31", "no"), ("1.36", "no")]
)
def test_the_second_line_has_no_unknown_code_from_1_28_on(version: str, error: str) -> None:
    told = body(lines.anonymous_pull_failed(lines.style(version), RpcError("Unknown", "no"), IMAGE))
    assert told == f'"Failed to pull image" err="{error}" image="{IMAGE}"'


def test_old_kubelets_dump_the_container_raw() -> None:
    failure = Failure("StartContainer", "app", "ErrImagePull", str(NOT_FOUND))
    told = body(lines.start_failed(lines.style("1.27"), POD, POD.containers[0], failure))
    assert told.startswith(f"container &Container{{Name:app,Image:{IMAGE},Command:[]")
    assert told.endswith(
        f"ContainerResizePolicy{{}},}} start failed in pod web-0_default(0f0f): ErrImagePull: {NOT_FOUND}"
    )


def test_new_kubelets_name_the_container_only() -> None:
    failure = Failure("StartContainer", "app", "ErrImagePull", "no")
    told = body(lines.start_failed(lines.style("1.36"), POD, POD.containers[0], failure))
    assert told == (
        '"Unhandled Error" err="container app start failed in pod web-0_default(0f0f): ErrImagePull: no" '
        'logger="UnhandledError"'
    )


def test_the_last_line_quotes_the_message_twice_and_is_one_line() -> None:
    failure = Failure("StartContainer", "app", "ErrImagePull", UNKNOWN.shown(lines.style("1.36")))
    told = body(lines.sync_failed(lines.style("1.36"), POD, [failure]))
    assert told == (
        r'"Error syncing pod, skipping" err="failed to \"StartContainer\" for \"app\" with ErrImagePull: '
        r'\"403 Forbidden\\ndenied: no\"" pod="default/web-0" podUID="0f0f"'
    )


def test_several_failures_stand_in_brackets() -> None:
    failures = [Failure("StartContainer", name, "ErrImagePull", "no") for name in ("a", "b")]
    told = body(lines.sync_failed(lines.style("1.31"), POD, failures))
    assert r'err="[failed to \"StartContainer\" for \"a\" with' in told
    assert r', failed to \"StartContainer\" for \"b\" with ErrImagePull: \"no\"]" pod=' in told


def test_a_sandbox_failure_names_the_pod_three_times_and_the_image_never() -> None:
    error = RpcError("Unknown", 'failed to get sandbox image "pause.lab.test/pause:3.9": no')
    told = [body(entry) for entry in lines.sandbox_failed(lines.style("1.31"), POD, error)]
    assert [line.split('"')[1] for line in told] == [
        "RunPodSandbox from runtime service failed",
        "Failed to create sandbox for pod",
        "CreatePodSandbox for pod failed",
    ]
    last = body(lines.sync_failed(lines.style("1.31"), POD, [lines.sandbox_failure(POD, error)]))
    assert r"failed to \"CreatePodSandbox\" for \"web-0_default(0f0f)\" with CreatePodSandboxError:" in last
    assert "image=" not in last


def test_an_unknown_version_is_an_error_that_names_the_known_ones() -> None:
    with pytest.raises(LabError, match=r"1\.27, 1\.31, 1\.36"):
        lines.style("2.0")
