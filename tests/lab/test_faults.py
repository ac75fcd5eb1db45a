"""What the fault registry says, without a network."""

import dataclasses
import json

import pytest

from lab import faultimages, faults
from lab.errors import LabError
from lab.faultanswers import Answer, Request, good, stage_of

NAME = "team/app"


@dataclasses.dataclass
class Shelf:
    """Holds one repository under every name."""

    held: faults.Repository = dataclasses.field(default_factory=faults.Repository)

    def repository(self, host: str, name: str) -> faults.Repository:
        assert host == "faults.lab.test"
        assert name in {NAME, ""}
        return self.held


def ask(method: str, target: str, shelf: Shelf | None = None, **headers: str) -> Request:
    return stage_of(shelf or Shelf(), "faults.lab.test", method, target, headers, b"")


@pytest.mark.parametrize("name", faults.PRESETS)
def test_each_preset_survives_the_way_through_the_settings_and_has_an_image(name: str) -> None:
    preset = faults.PRESETS[name]
    assert faults.decode(json.loads(json.dumps(faults.encode(preset)))) == preset
    assert faultimages.make(preset.image, name).digest.startswith("sha256:")


def test_a_rule_for_an_unknown_stage_or_action_is_an_error() -> None:
    with pytest.raises(LabError, match="no rule 'answer' for the stage 'heaven'"):
        faults.Rule("heaven")
    with pytest.raises(LabError, match="no rule 'sing'"):
        faults.Rule("layer", "sing")


def test_stages_are_told_by_method_path_and_digest() -> None:
    config, layer = faultimages.make("plain", NAME).blobs
    assert ask("HEAD", f"/v2/{NAME}/manifests/1").stage == "manifest-head"
    assert ask("GET", f"/v2/{NAME}/manifests/1?ns=x").stage == "manifest-get"
    assert ask("GET", f"/v2/{NAME}/blobs/{config.digest}").stage == "config"
    assert ask("GET", f"/v2/{NAME}/blobs/{layer.digest}").stage == "layer"
    assert ask("GET", f"/storage/{NAME}/{layer.digest}").stage == "storage"
    assert ask("GET", "/token?scope=repository%3Ateam%2Fapp%3Apull&service=lab").stage == "token"
    assert ask("GET", "/v2/").stage == "ping"


def test_a_good_manifest_has_type_length_and_digest() -> None:
    answer = good(ask("HEAD", f"/v2/{NAME}/manifests/1"))
    head = answer.head().decode()
    image = faultimages.make("plain", NAME)
    assert f"Docker-Content-Digest: {image.digest}\r\n" in head
    assert f"Content-Length: {len(image.top.content)}\r\n" in head
    assert good(ask("GET", f"/v2/{NAME}/manifests/sha256:{'0' * 64}")).status == 404


def test_a_range_of_a_blob_is_partial_content() -> None:
    layer = faultimages.make("plain", NAME).blobs[1]
    answer = good(ask("GET", f"/v2/{NAME}/blobs/{layer.digest}", range="bytes=0-0"))
    assert (answer.status, answer.body) == (206, layer.content[:1])
    assert f"Content-Range: bytes 0-0/{len(layer.content)}" in answer.headers


def test_a_redirect_names_the_storage_path_of_the_blob() -> None:
    layer = faultimages.make("plain", NAME).blobs[1]
    rule = faults.blob_redirect("https://blobs.lab.test{path}").rules[0]
    answer = Answer.of(rule, "faults.lab.test", ask("GET", f"/v2/{NAME}/blobs/{layer.digest}"))
    assert f"Location: https://blobs.lab.test/storage/{NAME}/{layer.digest}" in answer.headers


@pytest.mark.parametrize(
    ("realm", "header"),
    [
        ("", "WWW-Authenticate: Basic realm=lab"),
        (
            "https://a.lab.test/token",
            'WWW-Authenticate: Bearer realm="https://a.lab.test/token",service="lab",scope="repository:team/app:pull"',
        ),
    ],
)
def test_a_challenge_is_basic_or_bearer(realm: str, header: str) -> None:
    assert header in Answer.challenge(realm, NAME).headers
