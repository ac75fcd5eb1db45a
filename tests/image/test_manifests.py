"""The manifests as an API server gets them."""

import copy
from collections.abc import Iterator
from typing import Any

import pytest

from image import manifests
from image.manifests import OLD, RENDERED, VERSIONS, Invalid, find, render, validate
from pullwhy.collector.settings import CollectorSettings
from pullwhy.config import AgentSettings, keys, load

pytestmark = [pytest.mark.lab, pytest.mark.timeout(600)]  # the images may have to be built first

SERVICE = {"PULLWHY_COLLECTOR_SERVICE_HOST": "10.96.0.17", "PULLWHY_COLLECTOR_SERVICE_PORT_GRPC": "9443"}
"""What the kubelet tells pods about the Service (pkg/kubelet/envvars)."""
WORKLOADS = (("DaemonSet", "pullwhy-agent", AgentSettings), ("Deployment", "pullwhy-collector", CollectorSettings))


@pytest.mark.parametrize("name", RENDERED)
def test_every_object_is_valid_for_the_versions_of_kubernetes(name: str) -> None:
    for version in VERSIONS["old" if name == OLD else "new"]:
        for document in render(name):
            validate(document, version)


def mappings(value: Any) -> Iterator[dict[str, Any]]:
    """Yield every object within *value* that has fields of the API's own."""
    if isinstance(value, dict):
        free = {"labels", "annotations", "matchLabels", "nodeSelector", "requests", "limits", "selector", "emptyDir"}
        yield value
        for key, below in value.items():
            if key not in free:
                yield from mappings(below)
    elif isinstance(value, list):
        for below in value:
            yield from mappings(below)


def test_a_misspelt_field_fails_wherever_it_is() -> None:
    tried = 0
    for document in render("overlays/cert-manager"):
        version = VERSIONS["new"][-1]
        for number, _ in enumerate(mappings(document)):
            broken = copy.deepcopy(document)
            list(mappings(broken))[number]["misspelt"] = "x"
            if document["apiVersion"] == "cert-manager.io/v1" and broken["spec"] == document["spec"]:
                continue  # only their specs are checked
            tried += 1
            with pytest.raises(Invalid, match="misspelt"):
                validate(broken, version)
    assert tried > 60


@pytest.mark.parametrize(("kind", "workload", "settings"), WORKLOADS)
@pytest.mark.parametrize("name", RENDERED)
def test_every_setting_is_one_that_the_program_knows(name: str, kind: str, workload: str, settings: Any) -> None:
    (container,) = manifests.pod(name, kind, workload)["containers"]
    environment = {}
    for entry in container["env"]:
        value = entry.get("value", "node-a")
        for variable, given in SERVICE.items():
            value = value.replace(f"$({variable})", given)
        assert "$(" not in value
        environment[entry["name"]] = value
    known = {f"PULLWHY_{key.replace('.', '_').upper()}" for key in keys(settings)}
    assert set(environment) <= known
    load(settings, None, environment)


def test_the_address_is_built_from_names_that_the_service_makes() -> None:
    service = find(render("base"), "Service", "pullwhy-collector")
    prefix = service["metadata"]["name"].upper().replace("-", "_")
    made = {f"{prefix}_SERVICE_HOST"} | {
        f"{prefix}_SERVICE_PORT_{port['name'].upper()}" for port in service["spec"]["ports"]
    }
    assert set(SERVICE) <= made


@pytest.mark.parametrize("name", RENDERED)
def test_nothing_of_the_host_is_written_or_made_but_the_state(name: str) -> None:
    spec = manifests.pod(name)
    mounts = {mount["name"]: mount for mount in spec["containers"][0]["volumeMounts"]}
    volumes = {volume["name"]: volume for volume in spec["volumes"]}
    assert set(mounts) == set(volumes)
    assert [name for name, mount in mounts.items() if not mount.get("readOnly")] == ["state"]
    kinds = {name: volume["hostPath"].get("type") for name, volume in volumes.items() if "hostPath" in volume}
    assert kinds.pop("state") == "DirectoryOrCreate"
    assert kinds.pop("resolved") is None
    assert set(kinds.values()) == {"Directory"}


@pytest.mark.parametrize("name", RENDERED)
def test_no_mount_is_a_journals_own_folder(name: str) -> None:
    paths = [volume["hostPath"]["path"] for volume in manifests.pod(name)["volumes"] if "hostPath" in volume]
    assert {"/var/log", "/run/log"} <= set(paths)
    assert not [path for path in paths if "journal" in path]


@pytest.mark.parametrize("name", RENDERED)
def test_the_collector_would_pass_the_restricted_standard(name: str) -> None:
    spec = manifests.pod(name, "Deployment", "pullwhy-collector")
    (container,) = spec["containers"]
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert container["securityContext"]["allowPrivilegeEscalation"] is False
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(spec)
    assert {kind for volume in spec["volumes"] for kind in volume if kind != "name"} <= {
        "persistentVolumeClaim",
        "secret",
    }


WITH_TOKENS = tuple(name for name in RENDERED if name not in ("base", "overlays/node-certificates"))


PULL_SECRETS = "overlays/pull-secrets"
"""The only one in which agents may ask the API server."""


@pytest.mark.parametrize("name", RENDERED)
def test_the_kubelet_asks_the_collector_as_it_answers(name: str) -> None:
    (container,) = manifests.pod(name, "Deployment", "pullwhy-collector")["containers"]
    over_tls = {"name": "PULLWHY_HTTP_TLS", "value": "true"} in container["env"]
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert container[probe]["httpGet"].get("scheme", "HTTP") == ("HTTPS" if over_tls else "HTTP")


def test_agents_may_read_the_pull_secrets_that_their_settings_name_and_nothing_else() -> None:
    documents = render(PULL_SECRETS)
    spec = manifests.pod(PULL_SECRETS)
    environment = {entry["name"]: entry.get("value", "") for entry in spec["containers"][0]["env"]}
    readable = set()
    agent = {"kind": "ServiceAccount", "name": "pullwhy-agent", "namespace": "pullwhy"}
    bound = {each["roleRef"]["name"] for each in documents if agent in each.get("subjects", ())}
    for role in (each for each in documents if "rules" in each and each["metadata"]["name"] in bound):
        (rule,) = role["rules"]
        assert (rule["apiGroups"], rule["resources"], rule["verbs"]) == ([""], ["secrets"], ["get"])
        readable |= {f"{role['metadata']['namespace']}/{name}" for name in rule["resourceNames"]}
        (binding,) = [each for each in documents if each.get("roleRef", {}).get("name") == role["metadata"]["name"]]
        assert binding["kind"] == "RoleBinding"
        assert binding["roleRef"]["kind"] == role["kind"] == "Role"
        assert binding["metadata"]["namespace"] == role["metadata"]["namespace"]
        assert binding["subjects"] == [agent]
    assert readable == set(environment["PULLWHY_PULL_SECRETS"].split(","))
    assert spec["automountServiceAccountToken"] is True


@pytest.mark.parametrize("name", WITH_TOKENS)
def test_tokens_are_for_the_audience_and_account_that_the_collector_demands(name: str) -> None:
    volumes = {volume["name"]: volume for volume in manifests.pod(name)["volumes"]}
    (source,) = volumes["token"]["projected"]["sources"]
    (container,) = manifests.pod(name, "Deployment", "pullwhy-collector")["containers"]
    environment = {entry["name"]: entry["value"] for entry in container["env"]}
    assert source["serviceAccountToken"]["audience"] == environment["PULLWHY_AGENT_AUDIENCE"]
    account = find(render(name), "ServiceAccount", "pullwhy-agent")["metadata"]
    assert f"{account['namespace']}/{account['name']}" == environment["PULLWHY_AGENT_SERVICE_ACCOUNT"]
    (mount,) = [mount for mount in manifests.pod(name)["containers"][0]["volumeMounts"] if mount["name"] == "token"]
    agent = {entry["name"]: entry.get("value") for entry in manifests.pod(name)["containers"][0]["env"]}
    assert agent["PULLWHY_REPORT_TOKEN_FILE"] == f"{mount['mountPath']}/{source['serviceAccountToken']['path']}"


@pytest.mark.parametrize("name", RENDERED)
def test_everything_is_in_the_one_namespace(name: str) -> None:
    clusterwide = {"Namespace", "PriorityClass", "ClusterRole", "ClusterRoleBinding"}
    for document in render(name):
        if document["kind"] not in clusterwide and document["metadata"]["name"] != "pullwhy-pull-secrets":
            assert document["metadata"]["namespace"] == "pullwhy", document


def test_without_a_socket_the_runtime_is_never_asked() -> None:
    spec = manifests.pod("overlays/no-socket")
    environment = {entry["name"]: entry.get("value") for entry in spec["containers"][0]["env"]}
    assert environment["PULLWHY_REPRODUCE"] == "never"
    assert not [volume for volume in spec["volumes"] if volume["name"] == "runtime-socket"]


@pytest.mark.parametrize(
    ("name", "wanted", "unwanted"),
    [
        ("overlays/k3s", {"/run/k3s/containerd", "/var/lib/rancher"}, {"/run/containerd", "/var/lib/containerd"}),
        ("overlays/rke2", {"/run/k3s/containerd", "/var/lib/rancher"}, {"/run/containerd", "/var/lib/containerd"}),
        ("overlays/crio", {"/run/crio", "/var/lib/containers"}, {"/run/containerd", "/var/lib/containerd"}),
    ],
)
def test_a_distribution_has_its_own_places(name: str, wanted: set[str], unwanted: set[str]) -> None:
    spec = manifests.pod(name)
    paths = {volume["hostPath"]["path"] for volume in spec["volumes"] if "hostPath" in volume}
    mounted = {mount["mountPath"] for mount in spec["containers"][0]["volumeMounts"]}
    assert wanted <= paths
    assert {f"/host{path}" for path in wanted} <= mounted
    assert not unwanted & paths


def test_several_collectors_share_a_database_and_one_of_them_always_stays() -> None:
    documents = render("overlays/postgres")
    deployment = find(documents, "Deployment", "pullwhy-collector")["spec"]
    budget = find(documents, "PodDisruptionBudget", "pullwhy-collector")["spec"]
    assert deployment["replicas"] > budget["minAvailable"]
    assert budget["selector"] == deployment["selector"]
    assert budget["unhealthyPodEvictionPolicy"] == "AlwaysAllow"
    assert deployment["strategy"] == {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}
    assert not [each for each in documents if each["kind"] == "PersistentVolumeClaim"]
