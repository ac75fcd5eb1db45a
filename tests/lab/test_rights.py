"""The stand-in's records of pulls, as kubelets from 1.33 on keep them."""

import json
from pathlib import Path

from lab.kubelet.pods import Container, Credential, Pod
from lab.kubelet.rights import Rights

IMAGE = "reg.lab.test:5000/shop/web:1.0"
POD = Pod("shop", "web", "u-1", [Container("app", IMAGE)])
SECRET = Credential("reg.lab.test:5000", "robot", "right")


def test_only_whoever_holds_the_secret_may_use_what_it_pulled(tmp_path: Path) -> None:
    rights = Rights(tmp_path)
    assert rights.allow(IMAGE, [])  # preloaded: the kubelet did not pull it

    rights.pulled(IMAGE, "sha256:abc", SECRET, POD)

    assert not rights.allow(IMAGE, [])
    assert not rights.allow(IMAGE, [Credential("reg.lab.test:5000", "robot", "wrong")])
    assert rights.allow(IMAGE, [SECRET])


def test_the_record_names_the_secret_under_the_repository(tmp_path: Path) -> None:
    Rights(tmp_path).pulled(IMAGE, "sha256:abc", SECRET, POD)
    (record,) = [json.loads(path.read_text()) for path in tmp_path.iterdir()]
    own = record["credentialMapping"]["reg.lab.test:5000/shop/web"]
    assert own["kubernetesSecrets"][0]["namespace"] == "shop"
    assert "right" not in json.dumps(record)
