"""What a real kubelet is given in place of the stand-in."""

import json

import pytest

from lab.errors import LabError
from lab.kubelet.pods import Container, Credential, Pod
from lab.kubelet.real import configuration, manifest

POD = Pod("default", "web-0", "0f0f", (Container("first", "b:1", init=True), Container("app", "a", "", {"K": "v"})))


@pytest.mark.parametrize(
    ("version", "new"), [((1, 29), set()), ((1, 30), {"podLogsDir"}), ((1, 36), {"podLogsDir", "failCgroupV1"})]
)
def test_settings_are_those_that_the_version_knows(version: tuple[int, int], new: set[str]) -> None:
    value = configuration(version, serial=True, qps=5, burst=10, log_format="json")
    assert {"podLogsDir", "failCgroupV1"} & set(value) == new
    assert (value["serializeImagePulls"], value["registryPullQPS"], value["logging"]["format"]) == (True, 5, "json")


def test_a_static_pod_keeps_uid_policy_and_environment() -> None:
    value = json.loads(manifest(POD))
    assert value["metadata"]["uid"] == "0f0f"
    (app,) = value["spec"]["containers"]
    assert (app["imagePullPolicy"], app["env"]) == ("Always", [{"name": "K", "value": "v"}])
    assert [one["name"] for one in value["spec"]["initContainers"]] == ["first"]


def test_a_static_pod_can_have_no_pull_secret() -> None:
    with pytest.raises(LabError, match="give them to the node"):
        manifest(Pod("default", "web-0", "0f0f", POD.containers, (Credential("a", "b", "c"),)))
