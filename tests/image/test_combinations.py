"""The components as people put them together, and that none of it opens what `secured` shuts."""

import copy
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import pytest
import yaml

from image import manifests
from image.deployed import Right, agents_of, granted, settings_of
from image.manifests import (
    OVERLAYS,
    VERSIONS,
    find,
    own_overlay,
    pod_of,
    render,
    told,
    told_overlay,
    validate,
    written_overlay,
)
from image.posture import Documents, open_to_anybody, refused
from pullwhy.cli.kubectl.doctor import AGENT

pytestmark = [pytest.mark.lab, pytest.mark.timeout(600)]  # renders with a fetched kubectl

CERTIFICATES: Final = ("own-certificates", "cert-manager")
NODES: Final = ((), ("k3s",), ("rke2",), ("crio",))
MORE: Final = ("ipv6", "postgres", "events", "pull-secrets", "no-socket")
OLD: Final = "kubernetes-1.29"


def _combinations() -> Iterator[tuple[str, ...]]:
    for source in CERTIFICATES:
        yield from ((source, "secured", each) for each in MORE)
        for node in NODES:
            yield (source, "secured", *node)
            yield from ((source, who, *node, *MORE) for who in ("secured", "node-certificates"))
            yield (source, "secured", *node, *MORE, OLD)


COMBINATIONS: Final = tuple(_combinations())


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, ...], str]:
    """Render all at once: each takes kubectl a quarter of a second, most of which it waits."""
    folder = tmp_path_factory.mktemp("own")
    named = {each: own_overlay(folder, each) for each in COMBINATIONS}
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(manifests.text, named.values()))
    return named


def mounts(documents: Documents) -> set[str]:
    return {
        each["mountPath"] for each in pod_of(documents, "DaemonSet", "pullwhy-agent")["containers"][0]["volumeMounts"]
    }


def kinds(documents: Documents) -> set[str]:
    return {each["kind"] for each in documents}


def volume_kinds(documents: Documents) -> set[str]:
    volumes = pod_of(documents, "DaemonSet", "pullwhy-agent")["volumes"]
    return {kind for volume in volumes for kind in volume if kind != "name"}


def egress(documents: Documents) -> set[int]:
    rules = find(documents, "NetworkPolicy", "pullwhy-collector")["spec"]["egress"]
    return {port["port"] for rule in rules for port in rule["ports"]}


SOCKETS: Final = {"/host/run/containerd", "/host/run/k3s/containerd", "/host/run/crio"}
EFFECTS: Final[dict[str, Callable[[Documents], bool]]] = {
    "own-certificates": lambda documents: (
        settings_of(documents)[0].report.certificate != "" and "Certificate" not in kinds(documents)
    ),
    "cert-manager": lambda documents: "Certificate" in kinds(documents),
    "secured": lambda documents: (
        settings_of(documents)[1].agent_auth == "kubernetes" and not list(open_to_anybody(documents))
    ),
    "node-certificates": lambda documents: (
        settings_of(documents)[1].agent_auth == "certificate"
        and not list(open_to_anybody(documents))
        and not volume_kinds(documents) & {"projected", "secret"}
    ),
    "k3s": lambda documents: "/host/var/lib/rancher" in mounts(documents),
    "rke2": lambda documents: len(settings_of(documents)[0].watch.files) == 2,
    "crio": lambda documents: "/host/var/lib/containers" in mounts(documents),
    "ipv6": lambda documents: (
        {settings_of(documents)[1].grpc_listen, settings_of(documents)[1].http_listen} == {"[::]:9443", "[::]:8080"}
        and "[$(PULLWHY_COLLECTOR_SERVICE_HOST)]:" in str(pod_of(documents, "DaemonSet", "pullwhy-agent"))
    ),
    "postgres": lambda documents: (
        settings_of(documents)[1].database.startswith("postgresql://")
        and 5432 in egress(documents)
        and "PodDisruptionBudget" in kinds(documents)
        and "PersistentVolumeClaim" not in kinds(documents)
    ),
    "events": lambda documents: (
        settings_of(documents)[1].kubernetes.events and Right("", "events", "create") in granted(documents)
    ),
    "pull-secrets": lambda documents: settings_of(documents)[0].pull_secrets == ("default/regcred",),
    "no-socket": lambda documents: settings_of(documents)[0].reproduce == "never" and not SOCKETS & mounts(documents),
    OLD: lambda documents: "appArmorProfile" not in str(documents),
}


@pytest.mark.parametrize("components", COMBINATIONS, ids="+".join)
def test_components_go_together(components: Sequence[str], rendered: dict[tuple[str, ...], str]) -> None:
    documents = render(rendered[tuple(components)])
    for version in VERSIONS["old" if OLD in components else "new"]:
        for document in documents:
            validate(document, version)
    assert list(refused(documents)) == []
    assert [name for name in components if not EFFECTS[name](documents)] == []
    sockets = SOCKETS & mounts(documents)
    assert len(sockets) == (0 if "no-socket" in components else 1)


@pytest.mark.parametrize("name", OVERLAYS)
def test_every_overlay_is_one_for_production(name: str) -> None:
    documents = render(f"overlays/{name}")
    assert list(open_to_anybody(documents)) == []
    assert list(refused(documents)) == []
    assert name in EFFECTS
    assert EFFECTS[name](documents)


@pytest.fixture(scope="module")
def two_kinds(tmp_path_factory: pytest.TempPathFactory) -> tuple[Documents, Documents]:
    """Render what docs/operations.md tells for nodes of two kinds: the first overlay, and the second."""
    folder = tmp_path_factory.mktemp("own")
    (_, main), (_, settings) = told_overlay("An overlay of your own"), told_overlay("Settings")
    (components, more), (_, kept_away) = (told_overlay("Nodes of several kinds", number) for number in (0, 1))
    first = own_overlay(folder, ("cert-manager", "secured"), **main, **settings, **kept_away)
    return render(first), render(own_overlay(folder, components, **more))


def test_nodes_of_another_kind_get_a_daemonset_of_the_same_installation_and_nothing_else(
    two_kinds: tuple[Documents, Documents],
) -> None:
    first, rendered = two_kinds
    assert sorted(each["kind"] for each in rendered) == ["ConfigMap", "DaemonSet"]
    (second,) = [each for each in rendered if each["kind"] == "DaemonSet"]
    other = find(first, "DaemonSet", "pullwhy-agent")
    for document in (second, other):
        validate(document, VERSIONS["new"][-1])
    assert second["metadata"]["name"] != other["metadata"]["name"]
    spec, like = (each["spec"]["template"]["spec"] for each in (second, other))
    for same in ("serviceAccountName", "priorityClassName", "hostNetwork", "tolerations"):
        assert spec[same] == like[same]
    assert spec["containers"][0]["image"] == like["containers"][0]["image"]
    (label,) = set(spec["nodeSelector"]) - set(like["nodeSelector"])
    (term,) = like["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    assert term == {"matchExpressions": [{"key": label, "operator": "DoesNotExist"}]}


def test_neither_daemonset_selects_pods_of_the_other_and_doctor_finds_both(
    two_kinds: tuple[Documents, Documents],
) -> None:
    both = [each for documents in two_kinds for each in documents if each["kind"] == "DaemonSet"]
    labels = [each["spec"]["template"]["metadata"]["labels"] for each in both]
    selects = [[each["spec"]["selector"]["matchLabels"].items() <= found.items() for found in labels] for each in both]
    assert selects == [[True, False], [False, True]]
    name = "app.kubernetes.io/name"
    for each, of_pods in zip(both, labels, strict=True):
        assert (each["metadata"]["labels"][name], of_pods[name]) == (AGENT, AGENT)


def test_agents_of_both_kinds_of_nodes_tell_the_cluster_that_the_collector_demands(
    two_kinds: tuple[Documents, Documents],
) -> None:
    first, second = two_kinds
    agent, collector = settings_of(first)
    (name,) = [each["metadata"]["name"] for each in second if each["kind"] == "DaemonSet"]
    assert (agent.cluster, agents_of(second, name).cluster) == (collector.agent_cluster, collector.agent_cluster)
    assert collector.agent_cluster


def test_settings_of_an_overlay_reach_both_and_a_change_restarts_the_one_that_it_concerns(tmp_path: Path) -> None:
    (_, main), (_, settings) = told_overlay("An overlay of your own"), told_overlay("Settings")
    base, mine = (
        render("overlays/cert-manager"),
        render(own_overlay(tmp_path, ("cert-manager", "secured"), **main, **settings)),
    )
    agent, collector = settings_of(mine)
    assert (collector.agent_cluster, agent.cluster) == ("blue", "blue")
    for kind, name in (("DaemonSet", "pullwhy-agent"), ("Deployment", "pullwhy-collector")):
        (before,), (after,) = (pod_of(each, kind, name)["containers"][0]["envFrom"] for each in (base, mine))
        assert before != after, "the name of a ConfigMap follows from what is in it"


def test_the_short_way_is_own_certificates_with_ones_own_images(tmp_path: Path) -> None:
    mine = copy.deepcopy(render(written_overlay(tmp_path, "mine", told_overlay("The short way")[1])))
    for kind, workload in (("DaemonSet", "pullwhy-agent"), ("Deployment", "pullwhy-collector")):
        (container,) = pod_of(mine, kind, workload)["containers"]
        assert container["image"].startswith("REGISTRY/pullwhy/")
        container["image"] = f"registry.example/{container['image'].removeprefix('REGISTRY/')}"
    assert mine == render("overlays/own-certificates")


def test_a_database_of_ones_own_is_the_one_that_collectors_use(tmp_path: Path) -> None:
    mine = render(written_overlay(tmp_path, "mine", told_overlay("PostgreSQL")[1]))
    assert EFFECTS["postgres"](mine)
    assert [*refused(mine), *open_to_anybody(mine)] == []
    assert "@db.example/" in settings_of(mine)[1].database
    assert "postgres.example" not in str(mine)


def test_pull_secrets_of_ones_own_are_in_place_of_the_example(tmp_path: Path) -> None:
    overlay, secrets = told("Pull secrets")
    mine = render(written_overlay(tmp_path, "mine", yaml.safe_load(overlay), secrets=secrets))
    for document in mine:
        validate(document, VERSIONS["new"][-1])
    named = settings_of(mine)[0].pull_secrets
    rights = {f"{each.namespace}/{each.name}" for each in granted(mine, "pullwhy-agent")}
    assert set(named) == rights == {"shop/regcred"}
    assert "default" not in {each["metadata"].get("namespace") for each in mine}


def test_every_component_has_its_effect_and_the_base_none() -> None:
    whole = {path.name for path in (manifests.FOLDER / "components").iterdir()}
    assert whole == set(EFFECTS) | {
        "tls",
        "api-server",
        "tokens",
        "readers",
        "pods-and-nodes",
        "agents-only",
    }
    base = render("base")
    assert [name for name, effect in EFFECTS.items() if effect(base)] == []


@pytest.mark.parametrize(
    ("components", "told"),
    [
        ((), "agents do not check the collector"),
        (("k3s",), "an agent may report for any node"),
        (("own-certificates", "k3s"), "an agent may report for any node"),
        (("own-certificates", "api-server", "readers", "pods-and-nodes"), "an agent may report for any node"),
        (("own-certificates", "api-server", "tokens", "pods-and-nodes"), "questions are answered to everybody"),
        (("own-certificates", "api-server", "tokens", "readers"), "a finding may name any pod"),
        (("own-certificates", "tokens", "readers", "pods-and-nodes"), "the collector's way to the API server is shut"),
        (("secured",), "reports are taken in the clear"),
        (("node-certificates",), "reports are taken in the clear"),
    ],
    ids=lambda value: "+".join(value) if isinstance(value, tuple) else "",
)
def test_what_lacks_a_part_is_told(components: Sequence[str], told: str, tmp_path: Path) -> None:
    assert told in list(open_to_anybody(render(own_overlay(tmp_path, components))))


def test_a_component_that_is_named_twice_is_refused(tmp_path: Path) -> None:
    for once_more in ("tokens", "readers", "pods-and-nodes", "node-certificates"):
        with pytest.raises(manifests.Invalid, match="already registered"):
            render(own_overlay(tmp_path, ("own-certificates", "secured", once_more)))


@pytest.mark.parametrize("node", ["k3s", "rke2", "crio"])
def test_the_socket_does_not_come_back_by_the_order_of_components(node: str, tmp_path: Path) -> None:
    with pytest.raises(manifests.Invalid, match="pullwhy~1no-socket"):
        render(own_overlay(tmp_path, ("own-certificates", "secured", "no-socket", node)))


def test_what_no_schema_refuses_is_told() -> None:
    good = render("overlays/own-certificates")
    lost, twice, again = (copy.deepcopy(good) for _ in range(3))
    pod_of(lost, "DaemonSet", "pullwhy-agent")["volumes"].pop()
    (container,) = pod_of(twice, "Deployment", "pullwhy-collector")["containers"]
    container["env"].append(container["env"][0])
    again.append(again[0])
    assert [len(list(refused(each))) for each in (good, lost, twice, again)] == [0, 1, 1, 1]
