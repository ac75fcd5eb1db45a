"""The agent is never the incident: what it asks of registries, what it leaves in the runtime, what it lets out."""

import json
import re
from collections import Counter
from collections.abc import Iterator

import pytest

from e2e.world import World, running

from lab import lab as labs
from lab.faults import FORGED_LINE, METADATA_ADDRESS, blob_redirect
from lab.kubelet.pods import Credential
from lab.kubelet.sync import Settings as KubeletSettings
from lab.node import Node
from lab.registry import USER

pytestmark = [pytest.mark.lab, pytest.mark.timeout(420)]

CANARY = "canary-7f3a9c"
"""Part of every secret of these tests; it must be found in nothing that leaves the node or stays on it."""
STORM = 100
OWN_AGENT = re.compile(r"pullwhy")


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with labs.running() as lab, running(lab) as made:
        # The old kubelet dumps a container's whole struct, environment included, into the journal; the old containerd signed addresses.
        oldest = labs.generations(lab.components)[0]
        made.node("node-a", containerd=oldest, kubelet=KubeletSettings(version="1.27", scale=0.1))
        yield made


@pytest.fixture
def node(world: World) -> Node:
    return world.lab.nodes["node-a"]


def test_a_walk_asks_a_registry_little(world: World, node: Node) -> None:
    registry = world.servers.plain_for(node)
    node.kubelet.add_pod("modest", f"{registry.host}/shop/web:no-such-tag")

    world.finding("modest", node.name)

    asked = [one for one in registry.requests() if OWN_AGENT.search(one.user_agent)]
    # HEAD, one GET for the error's body, one page of tags.
    assert 1 <= len(asked) <= 4, asked


def test_a_storm_of_pods_with_one_image_is_walked_once(world: World, node: Node) -> None:
    faults = world.servers.faulty_for(node)
    image = faults.set("storm", "manifest-403")
    for number in range(STORM):
        node.kubelet.add_pod(f"storm-{number}", image)

    found = world.finding(f"storm-{STORM - 1}", node.name, seconds=120)
    world.wait("all pods to be told", lambda: len(pods_of(world, found["id"])) == STORM, seconds=120)

    asked = [one for one in faults.requests("storm") if OWN_AGENT.search(one.headers.get("user-agent", ""))]
    assert 1 <= len(asked) <= 6, Counter((one.method, one.path) for one in asked)


def test_a_registry_that_names_a_time_to_wait_is_asked_once_for_all_its_images(world: World, node: Node) -> None:
    limiting = world.servers.listed("limiting")
    node.trust(limiting.place, world.lab.authority.pem)
    images = [limiting.set(f"limited-{number}", "manifest-429-retry-after") for number in range(4)]
    for number, image in enumerate(images):
        node.kubelet.add_pod(f"limited-{number}", image)

    def told() -> list[dict[str, object]]:
        return [found for found in world.findings("--node", node.name) if found["image"] in images]

    world.wait("a finding for each image", lambda: len(told()) == len(images), log=node.name)
    tries = len(limiting.requests())
    world.wait("the kubelet to try again", lambda: len(limiting.requests()) > tries)

    asked = [one for one in limiting.requests() if OWN_AGENT.search(one.headers.get("user-agent", ""))]
    assert len(asked) == 1, asked
    assert {found["cause"] for found in told()} == {"RateLimited"}
    assert sorted(str(found["confidence"]) for found in told()) == ["Likely", "Likely", "Likely", "Proved"]
    assert all(found["reproduction"] is None or "rate limit" in str(found["reproduction"]) for found in told())


def pods_of(world: World, identity: str) -> set[str]:
    return {pod["name"] for found in world.findings() if found["id"] == identity for pod in found["pods"]}


def test_safe_reproduction_leaves_nothing_in_the_runtime(world: World, node: Node) -> None:
    before = node.containerd.images()
    contents = node.containerd.ctr("content", "list", "--quiet")
    registry = world.servers.plain_for(node)
    node.kubelet.add_pod("confirmed", f"{registry.host}/shop/web:not-there")

    found = world.finding("confirmed", node.name)

    assert found["reproduction"]["outcome"] in {"Failed", "Skipped"}
    assert found["confidence"] == "Proved"
    assert node.containerd.images() == before
    assert node.containerd.ctr("content", "list", "--quiet") == contents


def test_diagnose_confirms_in_the_runtimes_own_words_and_leaves_nothing(world: World, node: Node) -> None:
    before = node.containerd.images()
    contents = node.containerd.ctr("content", "list", "--quiet")
    image = f"{world.servers.plain_for(node).host}/shop/web:never-pushed"

    answer = node.run([world.pullwhy, "diagnose", image, "-o", "json"], check=False)

    (found,) = json.loads(answer.stdout)
    assert answer.returncode == 1
    assert (found["cause"], found["confidence"]) == ("TagNotFound", "Proved")
    assert (found["reproduction"]["outcome"], found["reproduction"]["code"]) == ("Failed", "NotFound")
    assert node.containerd.images() == before
    assert node.containerd.ctr("content", "list", "--quiet") == contents


def test_an_image_that_would_now_come_is_not_pulled(world: World, node: Node) -> None:
    faults = world.servers.faulty_for(node)
    image = faults.set("flickers", "layer-corrupt")
    node.kubelet.add_pod("flickers", image)

    found = world.finding("flickers", node.name)

    assert found["reproduction"] is None or found["reproduction"]["outcome"] == "Skipped"
    assert image not in node.containerd.images()


def test_secrets_are_in_no_output_log_database_or_message(world: World, node: Node) -> None:
    private = world.servers.private
    node.trust(private.place, private.authority.pem)
    node.kubelet.set_node_credentials({private.host: (USER, f"{CANARY}-node")})
    wrong = Credential(private.host, USER, f"{CANARY}-pod")
    node.kubelet.add_pod(
        "with-secrets",
        f"{private.host}/shop/secret:canary",
        credentials=[wrong],
        env={"DATABASE_PASSWORD": f"{CANARY}-environment"},
    )
    signed = f"https://unknown.lab.test/{{path}}?X-Amz-Signature={CANARY}-signed&token={CANARY}-token"
    node.kubelet.add_pod("signed", world.servers.faulty_for(node).set("signed", blob_redirect(signed)))

    world.finding("with-secrets", node.name)
    world.finding("signed", node.name)
    node.kubelet.set_node_credentials({})

    assert any(CANARY in line for line in node.journal.lines()), "the canary never came into the journal"
    for place, text in everything_kept(world, node).items():
        assert CANARY not in text, f"{place}: {text[max(0, text.find(CANARY) - 200) :][:300]}"


def everything_kept(world: World, node: Node) -> dict[str, str]:
    """Return all that pullwhy printed, logged, stored or sent."""
    kept = {"agent's log": world.log(node.name), "collector's log": world.log("collector")}
    kept["answers"] = json.dumps(world.findings())
    kept["explanations"] = "".join(
        world.lab.servers.run([world.pullwhy, "explain", found["id"], "--server", world.url]).stdout
        for found in world.findings("--node", node.name)
    )
    for namespace in (node, world.lab.servers):
        for path in namespace.path("/var/lib/pullwhy").rglob("*"):
            if path.is_file():
                kept[str(path)] = path.read_bytes().decode("latin-1")
    return kept


@pytest.mark.parametrize("preset", ["body-ansi", "body-html", "body-huge", "body-deep", "manifest-redirect-loop"])
def test_hostile_answers_end_in_a_clean_finding(world: World, node: Node, preset: str) -> None:
    node.kubelet.add_pod(preset, world.servers.faulty_for(node).set(f"hostile-{preset}", preset))

    found = world.finding(preset, node.name)
    shown = world.lab.servers.run([world.pullwhy, "explain", found["id"], "--server", world.url]).stdout

    assert found["cause"]
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f\u202a-\u202e\u2066-\u2069]", shown)
    assert not [stage for stage in found["trace"] if stage["outcome"] == "Error"], found["trace"]


@pytest.mark.parametrize("preset", ["layer-metadata-address", "token-metadata-address"])
def test_metadata_addresses_are_never_dialled(world: World, node: Node, preset: str) -> None:
    node.run(["ip", "addr", "replace", f"{METADATA_ADDRESS}/32", "dev", "lo"])
    serve = (
        f"import http.server as h; h.HTTPServer(('{METADATA_ADDRESS}', 80), h.SimpleHTTPRequestHandler).serve_forever()"
    )
    with node.path("/run/metadata.log").open("w") as log:
        listener = node.popen(["python3", "-c", serve], stderr=log)
    try:
        node.kubelet.add_pod(preset, world.servers.faulty_for(node).set(preset, preset))
        found = world.finding(preset, node.name)
    finally:
        listener.close()
    asked = node.path("/run/metadata.log").read_text()
    assert found["cause"]
    assert "pullwhy" not in asked
    assert any("not dialled" in stage["detail"] or "never dial" in stage["detail"] for stage in found["trace"]), found[
        "trace"
    ]


def test_a_forged_line_accuses_no_pod(world: World, node: Node) -> None:
    node.journal.write(FORGED_LINE.partition("\n")[2])
    node.kubelet.add_pod("forger", world.servers.faulty_for(node).set("forger", "body-forged-line"))

    world.finding("forger", node.name)

    assert not [found for found in world.findings() if any(pod["name"] == "forged" for pod in found["pods"])]


@pytest.mark.parametrize(
    "image",
    [
        "169.254.169.254/latest/meta-data:1",
        "reg.lab.test:5000/$(reboot):1",
        "reg.lab.test:5000/a;b:1",
        "\u202egnp.exe/x:1",
    ],
)
def test_hostile_image_names_do_no_harm(world: World, node: Node, image: str) -> None:
    name = f"named-{abs(hash(image)) % 10_000}"
    node.kubelet.add_pod(name, image)

    found = world.finding(name, node.name)
    commands = [command["run"] for command in found["remedy"]["commands"]]

    assert found["cause"]
    assert not [run for run in commands if "$(reboot)" in run and "'" not in run]
