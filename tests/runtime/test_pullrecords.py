"""The kubelet's pull records, as kubelet 1.33 to 1.36 write them."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from pullwhy.access import PullRecord
from pullwhy.image import parse
from pullwhy.runtime.host.hostfs import HostFS
from pullwhy.runtime.kubelet.pullrecords import DEFAULT_POLICY, pull_record
from pullwhy.runtime.kubelet.settings import Kubelet

Tree = Callable[[Mapping[str, str | bytes | None]], HostFS]
ID = "sha256:" + "a" * 64
IMAGE = "registry.example/shop/web:1"
ROOT = "/var/lib/kubelet/image_manager"
SECRET = {"uid": "u", "namespace": "shop", "name": "cred", "credentialHash": "canary"}


def name(text: str) -> str:
    return "sha256-" + hashlib.sha256(text.encode()).hexdigest()


PULLED = f"{ROOT}/pulled/{name(ID)}"


def record(own: Any, version: str = "v1beta1", reference: str = ID) -> str:
    mapping = {"registry.example/shop/web": own, "registry.example/shop/db": {"nodePodsAccessible": True}}
    head = {"kind": "ImagePulledRecord", "apiVersion": f"kubelet.config.k8s.io/{version}"}
    return json.dumps({**head, "imageRef": reference, "credentialMapping": mapping})


def look(tree: Tree, files: Mapping[str, str | bytes | None], kubelet: Kubelet = Kubelet()) -> PullRecord | None:  # noqa: B008 - it is frozen
    return pull_record(parse(IMAGE), IMAGE, (ID, "registry.example/shop/web@sha256:x"), kubelet, tree(files))


@pytest.mark.parametrize("version", ["v1alpha1", "v1beta1"])
def test_a_record_tells_whose_credentials_pulled_the_image(tree: Tree, version: str) -> None:
    found = look(tree, {PULLED: record({"kubernetesSecrets": [SECRET]}, version)})
    assert found == PullRecord(DEFAULT_POLICY, PULLED, ("shop/cred",))
    assert found.verifies
    assert "canary" not in repr(found)


@pytest.mark.parametrize(
    ("own", "expected"),
    [
        ({"nodePodsAccessible": True}, PullRecord(DEFAULT_POLICY, PULLED, node_accessible=True)),
        (
            {"kubernetesServiceAccounts": [{"namespace": "shop", "name": "web", "uid": "u"}]},
            PullRecord(DEFAULT_POLICY, PULLED, service_accounts=("shop/web",)),
        ),
        ({}, PullRecord(DEFAULT_POLICY, PULLED)),
        (None, PullRecord(DEFAULT_POLICY, PULLED)),
        ([1], PullRecord(DEFAULT_POLICY, PULLED)),
        (
            {"kubernetesSecrets": [3, {"name": 3}, {"namespace": "x" * 300, "name": "y"}]},
            PullRecord(DEFAULT_POLICY, PULLED),
        ),
    ],
)
def test_what_the_record_holds(tree: Tree, own: Any, expected: PullRecord) -> None:
    assert look(tree, {PULLED: record(own)}) == expected
    assert expected.verifies is not expected.node_accessible


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("{", "no JSON"),
        ("[" * 100_000, "no JSON"),
        ("{}", "no ImagePulledRecord"),
        (record({}, "v9"), "version"),
        ('{"kind": "ImagePulledRecord", "apiVersion": {}}', "version"),
    ],
)
def test_a_record_that_cannot_be_read_tells_nothing(tree: Tree, text: str, fault: str) -> None:
    found = look(tree, {PULLED: text})
    assert found is not None
    assert fault in found.fault
    assert not found.verifies


def test_a_record_of_another_image_counts_for_nothing(tree: Tree) -> None:
    assert look(tree, {PULLED: record({}, reference="other")}) == PullRecord(DEFAULT_POLICY)


def test_a_pull_that_was_begun_is_the_kubelets_own(tree: Tree) -> None:
    found = look(tree, {f"{ROOT}/pulling/{name(IMAGE)}": "{}"})
    assert found == PullRecord(DEFAULT_POLICY, intended=True)
    assert found.verifies


def test_a_kubelet_without_records_verifies_nothing(tree: Tree) -> None:
    assert look(tree, {}) is None
    assert look(tree, {PULLED: record({})}, Kubelet(verifies=False)) is None


@pytest.mark.parametrize(
    ("policy", "allowlist", "recorded", "verifies"),
    [
        ("NeverVerify", (), True, False),
        ("AlwaysVerify", (), False, True),
        ("", (), False, False),
        ("NeverVerifyAllowlistedImages", (), False, True),
        ("NeverVerifyAllowlistedImages", ("registry.example/shop/web",), True, False),
        ("NeverVerifyAllowlistedImages", ("registry.example/shop/*",), True, False),
        ("NeverVerifyAllowlistedImages", ("registry.example/shop/we",), True, True),
    ],
)
def test_the_policy_decides_what_must_be_verified(
    tree: Tree, policy: str, allowlist: tuple[str, ...], recorded: bool, verifies: bool
) -> None:
    kubelet = replace(Kubelet(), verification_policy=policy, verification_allowlist=allowlist)
    files: dict[str, str | bytes | None] = (
        {PULLED: record({"kubernetesSecrets": [SECRET]})} if recorded else {ROOT: None}
    )
    found = look(tree, files, kubelet)
    assert found is not None
    assert found.verifies is verifies
