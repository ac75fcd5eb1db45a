"""Renders the manifests with kubectl, and checks them against Kubernetes' schemas, strictly."""

import functools
import json
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import kubernetes_validate
import yaml

from lab.namespace import REPOSITORY
from lab.packages import cache_folder, unpacked

FOLDER = REPOSITORY / "daemonset"
OPERATIONS = REPOSITORY / "docs/operations.md"
PERMISSIONS = REPOSITORY / "docs/permissions.md"
OVERLAYS = tuple(sorted(path.parent.name for path in FOLDER.glob("overlays/*/kustomization.yaml")))
RENDERED = ("base", *(f"overlays/{name}" for name in OVERLAYS))
OLD = "overlays/kubernetes-1.29"
"""The only one for versions before 1.30."""
VERSIONS = {"new": ("1.30", "1.33", "1.37"), "old": ("1.25", "1.27", "1.29")}

CERT_MANAGER: dict[str, dict[str, Any]] = {
    "Issuer": {"selfSigned": {}, "ca": {"secretName": str}},
    "Certificate": {
        "isCA": bool,
        "commonName": str,
        "secretName": str,
        "duration": str,
        "dnsNames": [str],
        "usages": [str],
        "privateKey": {"algorithm": str, "size": int, "rotationPolicy": str},
        "issuerRef": {"name": str, "kind": str},
    },
}
"""The fields of cert-manager.io/v1 that the manifests use (cert-manager's API reference): not its own schema, which is no part of Kubernetes'."""


class Invalid(Exception):
    """A manifest that an API server would refuse, or whose field it would drop."""


@functools.cache
def kubectl() -> Path:
    """Return Debian's kubectl, fetched where it is not there."""
    return unpacked(cache_folder(), "kubectl", "trixie") / "usr/bin/kubectl"


@functools.cache
def text(name: str) -> str:
    """Render a folder of daemonset/ as `kubectl apply -k` does."""
    done = subprocess.run([kubectl(), "kustomize", FOLDER / name], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Invalid(f"{name}: {done.stderr}")
    return done.stdout


def render(name: str) -> list[dict[str, Any]]:
    """Return the documents of a folder of daemonset/, new ones each time."""
    return [document for document in yaml.safe_load_all(text(name)) if document]


def own_overlay(folder: Path, components: Sequence[str], **more: Any) -> str:
    """Return an overlay of one's own in *folder*, as docs/operations.md shows it: the base with components, in this order."""
    below = {"resources": ["../../base"], "components": [f"../../components/{name}" for name in components]}
    return written_overlay(folder, "-".join(("own", *components)), below | more)


def written_overlay(folder: Path, name: str, content: dict[str, Any], **files: str) -> str:
    """Return an overlay with this content, and files beside it (their names without `.yaml`), in a copy of daemonset/ in *folder*."""
    if not (folder / "daemonset").exists():
        shutil.copytree(FOLDER, folder / "daemonset")
    mine = folder / "daemonset/overlays" / name
    mine.mkdir()
    kind = {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization"}
    (mine / "kustomization.yaml").write_text(yaml.safe_dump(kind | content))
    for each, text in files.items():
        (mine / f"{each}.yaml").write_text(text)
    return str(mine)


def told(heading: str) -> list[str]:
    """Return the blocks of YAML that docs/operations.md shows below a heading."""
    section = re.split(r"^##+ ", OPERATIONS.read_text().partition(f"# {heading}\n")[2], maxsplit=1, flags=re.MULTILINE)[
        0
    ]
    return re.findall(r"^```yaml\n(.*?)^```", section, re.DOTALL | re.MULTILINE)


def told_overlay(heading: str, number: int = 0) -> tuple[tuple[str, ...], dict[str, Any]]:
    """Return the components of an overlay, or of a part of one, that docs/operations.md shows, and what else is in it."""
    content = yaml.safe_load(told(heading)[number])
    components = tuple(Path(each).name for each in content.pop("components", ()))
    return components, content


def find(documents: list[dict[str, Any]], kind: str, name: str) -> dict[str, Any]:
    """Return the one object of a kind with a name."""
    (found,) = [each for each in documents if each["kind"] == kind and each["metadata"]["name"] == name]
    return found


def pod(name: str, kind: str = "DaemonSet", workload: str = "pullwhy-agent") -> dict[str, Any]:
    """Return the spec of the pods of a workload."""
    return pod_of(render(name), kind, workload)


def pod_of(documents: list[dict[str, Any]], kind: str, workload: str) -> dict[str, Any]:
    """Return the spec of the pods of a workload."""
    spec: dict[str, Any] = find(documents, kind, workload)["spec"]["template"]["spec"]
    return spec


def validate(document: dict[str, Any], version: str) -> None:
    """Check one object against the schema of a version of Kubernetes; raises Invalid."""
    if document["apiVersion"] == "cert-manager.io/v1":
        if document["kind"] not in CERT_MANAGER:
            raise Invalid(f"cert-manager.io/v1 has no {document['kind']} here")
        for problem in _differences(document["spec"], CERT_MANAGER[document["kind"]], "spec"):
            raise Invalid(problem)
        return
    if problem := _validated(json.dumps(document, sort_keys=True), version):
        raise Invalid(f"{document['kind']} for {version}: {problem}")


@functools.cache
def _validated(text: str, version: str) -> str:
    """Return what is wrong with an object. Most are the same in every rendering, and a check takes its time."""
    try:
        kubernetes_validate.validate(json.loads(text), version, strict=True)
    except (kubernetes_validate.ValidationError, kubernetes_validate.SchemaNotFoundError) as error:
        return str(error)
    return ""


def _differences(value: Any, schema: Any, path: str) -> Iterator[str]:
    if isinstance(schema, dict):
        if not isinstance(value, dict):
            yield f"{path} is no object"
            return
        for key, below in value.items():
            if key not in schema:
                yield f"{path}.{key} is no field"
            else:
                yield from _differences(below, schema[key], f"{path}.{key}")
    elif isinstance(schema, list):
        if not isinstance(value, list) or not all(isinstance(each, schema[0]) for each in value):
            yield f"{path} is no list of {schema[0].__name__}"
    elif not isinstance(value, schema):
        yield f"{path} is no {schema.__name__}"
