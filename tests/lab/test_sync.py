"""The stand-in kubelet's syncs, with a runtime made up for the test."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from lab.kubelet.cri import CriError
from lab.kubelet.klog import Entry
from lab.kubelet.lines import RpcError
from lab.kubelet.pods import Container, Credential, Pod
from lab.kubelet.providers import ProviderFailure, Providers
from lab.kubelet.records import Records
from lab.kubelet.sync import Puller, Settings

MISSING = Path("/nonexistent/config.json")
IMAGE = "reg.lab.test/app:1"


@dataclasses.dataclass
class Runtime:
    """Refuses pulls with *error* until it is None."""

    error: str | None = "no"
    stored: set[str] = dataclasses.field(default_factory=set)
    users: list[str | None] = dataclasses.field(default_factory=list)
    sandbox_error: str | None = None
    created: list[tuple[str, str, str]] = dataclasses.field(default_factory=list)

    def run_sandbox(self, pod: Pod) -> str:
        if self.sandbox_error:
            raise CriError(RpcError("Unknown", self.sandbox_error))
        return f"sandbox-of-{pod.name}"

    def present(self, image: str) -> str:
        return f"sha256:{image}" if image in self.stored else ""

    def pull(self, image: str, credential: Credential | None, pod: Pod) -> str:
        self.users.append(credential.username if credential else None)
        if self.error is not None:
            raise CriError(RpcError("Unknown", f"{self.error} {credential.username if credential else ''}".strip()))
        del pod
        self.stored.add(image)
        return self.present(image)

    def create_container(self, sandbox: str, pod: Pod, name: str, image: str) -> None:
        del pod
        self.created.append((sandbox, name, image))


class Case:
    """A puller with a runtime, a clock that stands until moved, and what was logged."""

    def __init__(self, settings: Settings | None = None, folder: Path | None = None) -> None:
        self.runtime, self.now, self.entries, self.boxes = Runtime(), 0.0, list[Entry](), dict[str, str]()
        chosen = settings or Settings(version="1.36")
        records = Records(folder) if folder else None
        self.puller = Puller(chosen, self.runtime, self.log, lambda: self.now, MISSING, records)

    def log(self, entries: Sequence[Entry]) -> None:
        self.entries.extend(entries)

    def sync(self, pod: Pod) -> list[str]:
        self.entries.clear()
        self.puller.sync(pod, self.boxes)
        return [entry.message for entry in self.entries]


def pod(*containers: Container, credentials: Sequence[Credential] = ()) -> Pod:
    return Pod("default", "web-0", "0f0f", containers or (Container("app", IMAGE),), credentials)


def test_a_failed_pull_is_told_in_four_lines() -> None:
    assert Case().sync(pod()) == [
        "PullImage from image service failed",
        "Failed to pull image",
        "Unhandled Error",
        "Error syncing pod, skipping",
    ]


def test_while_backing_off_only_the_last_line_comes_and_nothing_is_pulled() -> None:
    case = Case()
    case.sync(pod())
    case.now = 9.0
    assert case.sync(pod()) == ["Error syncing pod, skipping"]
    assert "ImagePullBackOff" in str(case.entries[0].error)
    assert "ErrImagePull: no" in str(case.entries[0].error)
    assert len(case.runtime.users) == 1
    case.now = 10.0
    assert len(case.sync(pod())) == 4


def test_old_kubelets_hide_the_cause_while_backing_off() -> None:
    case = Case(Settings(version="1.31"))
    case.sync(pod())
    case.sync(pod())
    assert str(case.entries[0].error).endswith(rf'with ImagePullBackOff: "Back-off pulling image \"{IMAGE}\""')


def test_all_matching_credentials_are_tried_and_never_the_anonymous_way() -> None:
    case = Case()
    keys = [Credential("reg.lab.test", "wide", "p"), Credential("reg.lab.test/app", "narrow", "p")]
    told = case.sync(pod(credentials=keys))
    assert case.runtime.users == ["narrow", "wide"]
    assert told.count("PullImage from image service failed") == 2
    assert "Failed to pull image" not in told
    assert r"[no narrow, no wide]" in str(case.entries[-1].error)


def test_a_present_image_is_pulled_only_with_the_policy_always() -> None:
    trusting, asking = Case(), Case()
    for case in (trusting, asking):
        case.runtime.stored.add(IMAGE)
    assert trusting.sync(pod()) == []
    assert asking.sync(pod(Container("app", IMAGE, "Always"))) != []


def test_never_and_bad_names_have_no_backoff() -> None:
    case = Case()
    both = pod(Container("a", IMAGE, "Never"), Container("b", "reg.lab.test/App:1"))
    for _ in range(2):
        case.sync(both)
        assert "ErrImageNeverPull" in str(case.entries[-1].error)
        assert "InvalidImageName" in str(case.entries[-1].error)
    assert case.runtime.users == []


def test_the_pull_limiter_fails_the_pull_without_asking_the_runtime() -> None:
    case = Case(Settings(version="1.36", qps=5, burst=1))
    case.sync(pod())
    other = Pod("default", "web-1", "1e1e", (Container("app", IMAGE),))
    assert case.sync(other) == ["Unhandled Error", "Error syncing pod, skipping"]
    assert "pull QPS exceeded" in str(case.entries[-1].error)
    assert len(case.runtime.users) == 1


def test_an_init_container_that_fails_keeps_the_others_from_being_pulled() -> None:
    case = Case()
    case.sync(pod(Container("app", IMAGE), Container("first", "reg.lab.test/init:1", init=True)))
    assert 'for "first"' in str(case.entries[-1].error)
    assert 'for "app"' not in str(case.entries[-1].error)


def test_without_a_sandbox_nothing_is_pulled() -> None:
    case = Case()
    case.runtime.sandbox_error = 'failed to get sandbox image "pause.lab.test/pause:3.9": no'
    assert len(case.sync(pod())) == 4
    assert "CreatePodSandboxError" in str(case.entries[-1].error)
    assert case.runtime.users == []


def test_after_a_success_nothing_is_said() -> None:
    case = Case()
    case.runtime.error = None
    assert case.sync(pod()) == []


def test_a_missing_pull_secret_is_told_at_every_sync_by_name() -> None:
    case = Case()
    lacking = Pod("default", "web-0", "0f0f", (Container("app", IMAGE),), (), ("regcred",))
    assert case.sync(lacking)[0] == "Unable to retrieve pull secret, the image pull may not succeed."
    assert dict(case.entries[0].pairs)["err"] == 'secret "regcred" not found'
    assert len(case.sync(lacking)) == 2


def test_a_container_is_made_once_its_image_is_there() -> None:
    case = Case()
    case.sync(pod())
    assert case.runtime.created == []

    case.runtime.error = None
    case.now += 60
    case.sync(pod())
    case.sync(pod())

    assert case.runtime.created == [("sandbox-of-web-0", "app", IMAGE)]


OWN = Credential("reg.lab.test", "own", "p")


def test_an_image_that_came_with_a_secret_is_not_for_pods_without_it(tmp_path: Path) -> None:
    case = Case(folder=tmp_path)
    case.runtime.error = None
    assert case.sync(pod(credentials=[OWN])) == []
    case.runtime.error = "denied"
    for policy, reason in (("IfNotPresent", "ErrImagePull"), ("Never", "ErrImageNeverPull")):
        stranger = Pod("default", "web-1", policy, (Container("app", IMAGE, policy),))
        case.sync(stranger)
        assert reason in str(case.entries[-1].error)
    friend = Pod("default", "web-2", "2e2e", (Container("app", IMAGE),), (OWN,))
    assert case.sync(friend) == []


def test_an_image_that_came_without_credentials_is_for_all(tmp_path: Path) -> None:
    case = Case(folder=tmp_path)
    case.runtime.error = None
    case.sync(pod())
    case.runtime.error = "denied"
    assert case.sync(Pod("default", "web-1", "1e1e", (Container("app", IMAGE, "Never"),))) == []


@pytest.mark.parametrize("version", ["1.31", "1.36"])
def test_a_provider_is_asked_for_the_images_that_it_covers(version: str, tmp_path: Path) -> None:
    case = Case(Settings(version=version))
    providers = Providers(tmp_path / "config.json", tmp_path)
    case.puller._providers = providers
    entry = {"name": "cr", "matchImages": ["*.lab.test"]}
    providers.config.write_text(json.dumps({"providers": [entry]}))
    failure = "error execing credential provider plugin cr for image reg.lab.test/app: "
    for script, error in ((None, f"fork/exec {tmp_path}/cr: no such file or directory"), ("exit 3", "exit status 3")):
        if script is not None:
            (tmp_path / "cr").write_text(f"#!/bin/sh\n{script}\n")
            (tmp_path / "cr").chmod(0o755)
        assert providers.ask(IMAGE)[1] == [ProviderFailure("cr", "reg.lab.test/app", f"{failure}{error}: ")]
        case.now += 1000
        assert case.sync(pod())[0].startswith("Failed")
    answer = {"auth": {"reg.lab.test": {"username": "robot", "password": "p"}}}
    (tmp_path / "cr").write_text(f"#!/bin/sh\necho '{json.dumps(answer)}'\n")
    case.now += 1000
    assert case.sync(pod())[0] == "PullImage from image service failed"
    assert case.runtime.users[-1] == "robot"
    assert providers.ask("other.test/app") == ([], [])
