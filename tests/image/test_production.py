"""Agent and collector of overlays for production, each pod as rendered: TLS, tokens, readers, rights, and where findings are stored."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from image.production import Production, made
from image.world import World, get

from lab import postgres
from lab.errors import wait_for
from lab.registry import PASSWORD, USER, docker_config

pytestmark = [pytest.mark.lab, pytest.mark.timeout(600)]  # the images may have to be built first

DATABASE: Final = "postgres.example"
"""Where the component has it."""


@pytest.fixture(scope="module")
def production(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Production]:
    running = Production(world, tmp_path_factory.mktemp("production"))
    yield running
    running.api.stop()


def test_without_a_socket_a_fault_is_found_and_only_its_own_certificate_and_token_let_the_agent_in(
    production: Production, tmp_path: Path
) -> None:
    image = f"{production.world.registry.host}/app/web:2.1"
    good, foreign = production.secrets["pullwhy-agent-tls"], made(tmp_path / "foreign")["pullwhy-agent-tls"]
    with production.collector("overlays/no-socket") as collector:
        production.secrets["pullwhy-agent-tls"] = {**foreign, "ca.crt": good["ca.crt"]}
        with production.agent("overlays/no-socket") as agent:
            wait_for("the stranger to be refused", lambda: ":9443" in agent.log(), log=agent.log, seconds=30)
            assert ": connected" not in agent.log()
        production.secrets["pullwhy-agent-tls"] = good
        with production.agent("overlays/no-socket") as agent, production.failing(image):
            found = production.found(image, agent)
            assert get(production.node, "http://127.0.0.1:9464/readyz") == "200"
    assert (found["node"], found["cause"], found["confidence"]) == ("node-a", "TagNotFound", "Proved")
    assert [(one["namespace"], one["name"]) for one in found["pods"]] == [("default", "web-0")]
    assert not production.api.refused
    assert not [token for token in production.api.given_out if token in collector.log() + agent.log()]


def test_with_the_certificate_of_another_node_an_agent_reports_nothing(production: Production) -> None:
    node, image = production.node, f"{production.world.registry.host}/app/web:2.3"
    authority = production.folder / "pki"
    assert made(authority, "node-a", "node-b") == made(authority, "node-b"), "nodes that come later change nothing else"

    def put(name: str) -> None:
        for path in (authority / "nodes" / name).iterdir():
            node.write(f"/etc/pullwhy/tls/{path.name}", path.read_bytes(), 0o600)

    overlay = "overlays/node-certificates"
    refusal = "its credentials are of node 'node-b', it reports for 'node-a'"
    with production.collector(overlay) as collector, production.agent(overlay) as agent, production.failing(image):
        wait_for(
            "word of what is missing", lambda: "tls/ca.crt: No such file" in agent.log(), log=agent.log, seconds=30
        )
        put("node-b")
        wait_for("the refusal", lambda: refusal in agent.log(), log=agent.log, seconds=30)
        assert refusal in collector.log()
        assert ": connected" not in agent.log()
        assert image not in {each["image"] for each in production.findings()}
        put("node-a")
        found = production.found(image, agent)
    assert (found["node"], found["cause"]) == ("node-a", "TagNotFound")


@pytest.fixture(scope="module")
def database(production: Production) -> Iterator[postgres.Cluster]:
    """Run a PostgreSQL that lets nobody in but by password over TLS, and make the Secret for it."""
    lab = production.world.lab
    place = lab.place(DATABASE, 5432)
    listen = f"listen_addresses={place.addresses[0]}"
    with postgres.cluster(listen, network=lab.servers.pid) as running:
        running.serve_tls(lab.authority.issue(DATABASE), "pullwhy", "database-canary-77c1")
        production.secrets["pullwhy-database"] = {"password": b"database-canary-77c1\n", "ca.crt": lab.authority.pem}
        yield running


def test_what_an_agent_finds_is_stored_in_postgresql_over_tls_and_answered(
    production: Production, database: postgres.Cluster
) -> None:
    image = f"{production.world.registry.host}/app/web:2.2"
    with production.collector("overlays/postgres") as collector:
        with production.agent("overlays/postgres") as agent, production.failing(image):
            found = production.found(image, agent)
        told = database.query(
            "SELECT DISTINCT ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE usename = 'pullwhy'"
        )
        rows = database.query(f"SELECT cause FROM pullwhy.findings WHERE image = '{image}'", "pullwhy")
    assert (found["node"], found["cause"]) == ("node-a", "TagNotFound")
    assert told == "t"
    assert rows == "TagNotFound"
    assert "canary" not in collector.log()


@pytest.mark.usefixtures("database")
def test_a_database_that_another_authority_vouches_for_is_not_used(production: Production) -> None:
    good = production.secrets["pullwhy-database"]
    production.secrets["pullwhy-database"] = {**good, "ca.crt": production.api.authority()}
    try:
        with production.starting_collector("overlays/postgres") as pod:
            wait_for("its refusal", lambda: "certificate verify failed" in pod.log(), log=pod.log, seconds=30)
            assert not production.ready("overlays/postgres")
    finally:
        production.secrets["pullwhy-database"] = good


def test_a_named_pull_secret_is_used_for_the_walk_and_shown_nowhere(production: Production) -> None:
    lab, node = production.world.lab, production.node
    registry = lab.registry("htpasswd", "private.lab.test")
    registry.push("team/app", "1.0")
    node.trust(registry.place, lab.authority.pem)
    image = f"{registry.host}/team/app:1.0"
    content = json.dumps(docker_config({registry.host: (USER, PASSWORD)})).encode()
    production.api.objects["/api/v1/namespaces/default/secrets/regcred"] = {
        "kind": "Secret",
        "apiVersion": "v1",
        "metadata": {"namespace": "default", "name": "regcred"},
        "type": "kubernetes.io/dockerconfigjson",
        "data": {".dockerconfigjson": base64.b64encode(content).decode()},
    }
    with production.collector("overlays/pull-secrets") as collector:
        with production.agent("overlays/pull-secrets") as agent, production.failing(image):
            found = production.found(image, agent)
            asked = production.api.asked("/secrets/")
        told = agent.log() + collector.log()
    assert found["cause"] == "CredentialsMissing"
    assert "Secret default/regcred opens this image to the walk" in json.dumps(found)
    assert {each.path for each in asked} == {"/api/v1/namespaces/default/secrets/regcred"}
    opened = [each for each in registry.requests() if each.status == 200 and "/manifests/1.0" in each.path]
    assert opened
    kept = [
        path.read_bytes()
        for place in ("/var/lib/pullwhy", "/var/lib/lab-claims/pullwhy-collector")
        for path in node.path(place).rglob("*")
        if path.is_file()
    ]
    assert any(b"Secret default/regcred" in each for each in kept)
    everything = b"\n".join((*kept, told.encode(), json.dumps(found).encode()))
    pair = base64.b64encode(f"{USER}:{PASSWORD}".encode())
    secrets = (
        PASSWORD.encode(),
        pair,
        base64.b64encode(content),
        *(each.encode() for each in production.api.given_out),
    )
    assert not [each for each in secrets if each in everything]
