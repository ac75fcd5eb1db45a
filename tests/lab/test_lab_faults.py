"""A fault of the lab strikes where it was made and nowhere else, and can be taken away."""

import pytest

from lab import faults
from lab.errors import wait_for
from lab.kubelet.pods import Credential
from lab.kubelet.sync import Settings as KubeletSettings
from lab.lab import Lab
from lab.node import Node
from lab.registry import PASSWORD, USER, Registry, Variant

pytestmark = pytest.mark.lab


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("nxdomain", "no such host"),
        ("nodata", "no such host"),
        ("servfail", "server misbehaving"),
        ("refused", "server misbehaving"),
    ],
)
def test_dns_faults_reach_containerd(lab: Lab, nodes: list[Node], kind: str, words: str) -> None:
    name = f"{kind}.lab.test"
    lab.dns.fault(name, kind)
    pod = nodes[-1].kubelet.add_pod(kind, f"{name}/app:1")
    assert words in nodes[-1].journal.wait_for(f'Head \\\\\\"https://{name}')
    assert {query.client for query in lab.dns.queries(name)} == {nodes[-1].addresses.v4}
    nodes[-1].kubelet.remove_pod(pod)


def test_a_silent_name_server_differs_from_one_that_answers_otherwise(lab: Lab, nodes: list[Node]) -> None:
    first, second = lab.dns.servers
    lab.dns.fault("split.lab.test", "silent", server=first)
    lab.dns.add("split.lab.test", "10.90.0.77", server=second)
    found = nodes[0].run(["getent", "ahostsv4", "split.lab.test"], check=False)
    asked = lab.dns.queries("split.lab.test")
    assert found.stdout.startswith("10.90.0.77"), asked
    assert {query.server for query in asked} == {first, second}


def test_a_block_on_one_node_is_no_block_on_another(nodes: list[Node], registry: Registry) -> None:
    address, port = registry.place.addresses[0], registry.place.port
    probe = f"exec 3<>/dev/tcp/{address}/{port}"
    nodes[0].block(address, port)
    try:
        assert nodes[0].run(["timeout", "1", "bash", "-c", probe], check=False).returncode == 124
        assert nodes[1].run(["timeout", "1", "bash", "-c", probe], check=False).returncode == 0
    finally:
        nodes[0].faults.clear()
    assert nodes[0].run(["timeout", "1", "bash", "-c", probe], check=False).returncode == 0


@pytest.mark.parametrize("variant", ["tls", "htpasswd", "token"])
def test_registries_with_tls_and_credentials(lab: Lab, nodes: list[Node], variant: Variant) -> None:
    node, host = nodes[-1], f"{variant}.lab.test"
    registry = lab.registry(variant, host)
    registry.push("team/app", "1")
    image = f"{host}/team/app:1"
    refused = node.kubelet.add_pod(f"{variant}-untrusting", image)
    assert "x509: certificate signed by unknown authority" in node.wait_failure(refused)
    node.kubelet.remove_pod(refused)
    node.trust(registry.place, lab.authority.pem)
    if variant != "tls":
        refused = node.kubelet.add_pod(f"{variant}-anonymous", image)
        assert any(words in node.wait_failure(refused) for words in ("pull access denied", "401 Unauthorized"))
        node.kubelet.remove_pod(refused)
    node.kubelet.add_pod(f"{variant}-known", image, credentials=[Credential(host, USER, PASSWORD)])
    wait_for(f"{image} on {node.name}", lambda: image in node.containerd.images(), seconds=20)


def test_the_fault_registry_records_requests_without_secrets(lab: Lab, nodes: list[Node]) -> None:
    node, registry = nodes[-1], lab.fault_registry("faults.lab.test")
    node.trust(registry.place, lab.authority.pem)
    image = registry.set("team/limited", "manifest-429-hub")
    limited = node.kubelet.add_pod("limited", image, credentials=[Credential(registry.host, "robot", "canary-secret")])
    assert "429 Too Many Requests" in node.wait_failure(limited)
    basic = registry.set("team/basic", "manifest-401-basic")
    node.kubelet.add_pod("basic", basic, credentials=[Credential(registry.host, "robot", "canary-secret")])
    wait_for("the pull", lambda: basic in node.containerd.images(), seconds=20)
    received = registry.requests("team/basic")
    assert [one.headers.get("authorization") for one in received][:2] == [None, "Basic"]
    assert "canary-secret" not in str(registry.requests())


def test_a_repository_recovers_when_its_fault_is_taken_away(lab: Lab, nodes: list[Node]) -> None:
    node, registry = nodes[0], lab.fault_registry("recovering.lab.test", tls=False)
    node.allow_http(registry.place)
    image = registry.set("app", "manifest-503")
    node.kubelet.add_pod("recovers", image)
    node.journal.wait_for(f'{image}\\\\\\": failed to resolve reference')
    registry.set("app", "ok")
    wait_for("the pull", lambda: image in node.containerd.images(), seconds=30)


def test_a_forged_line_comes_apart_only_in_the_multi_line_form(lab: Lab, nodes: list[Node]) -> None:
    node, registry = nodes[-1], lab.fault_registry("forger.lab.test")
    node.trust(registry.place, lab.authority.pem)
    node.kubelet.add_pod("victim", registry.set("app", "body-forged-line"))
    line = node.journal.wait_for('pod="default/victim"')
    assert "kube-system/forged" in line
    assert any(told.startswith("\tE1122 10:00:00.000000") for told in node.journal.lines())
    assert faults.FORGED_LINE.count("\n") == 1


def test_containerd_takes_a_proxy_from_its_drop_in(lab: Lab, nodes: list[Node]) -> None:
    node, registry = nodes[1], lab.fault_registry("proxied.lab.test")
    proxy = lab.fault_registry("proxy.lab.test", mode="proxy-407", port=3128)
    node.trust(registry.place, lab.authority.pem)
    image = registry.set("app", "ok")
    node.containerd.set_proxy(HTTPS_PROXY=f"http://{proxy.host}")
    node.kubelet.add_pod("proxied", image)
    assert "Proxy Authentication Required" in node.journal.wait_for(f'{image}\\\\\\": failed to resolve')
    node.containerd.set_proxy()
    wait_for("the pull", lambda: image in node.containerd.images(), seconds=30)


def test_a_full_disk_fails_a_pull_and_room_mends_it(lab: Lab) -> None:
    node = lab.node("node-full", kubelet=KubeletSettings(version="1.31", scale=0.1))
    registry = lab.fault_registry("big.lab.test", tls=False)
    node.allow_http(registry.place)
    image = registry.set("app", "layer-big")
    node.containerd.limit_disk(size="8m")
    node.kubelet.add_pod("big", image)
    node.journal.wait_for("no space left on device")
    node.containerd.limit_disk()
    wait_for("the pull", lambda: image in node.containerd.images(), seconds=30)
    node.close()


@pytest.mark.parametrize("part", ["content", "snapshots"])
def test_a_read_only_part_fails_a_pull_until_it_is_writable(nodes: list[Node], registry: Registry, part: str) -> None:
    node, image = nodes[1], f"{registry.host}/app/disk:{part}"
    # The sandbox must be there before the disk fails: it could not be made afterwards.
    pod = node.kubelet.add_pod(f"disk-{part}", image)
    node.wait_failure(pod)
    node.containerd.read_only(part)
    registry.push("app/disk", part)
    node.journal.wait_for("read-only file system")
    assert image not in node.containerd.images()
    node.containerd.writable(part)
    wait_for("the pull", lambda: image in node.containerd.images(), seconds=30)


def test_inodes_run_out_apart_from_bytes(lab: Lab, registry: Registry) -> None:
    node = lab.node("node-inodes", kubelet=KubeletSettings(scale=0.1))
    node.allow_http(registry.place)
    used = int(node.run(["df", "--output=iused", "/var/lib/containerd"]).stdout.split()[1])
    node.containerd.limit_disk(inodes=used + 3)
    pod = node.kubelet.add_pod("inodes", f"{registry.host}/app/web:1.0")
    node.journal.wait_for("no space left on device")
    assert pod.uid in "".join(node.journal.lines())
    node.close()


def test_an_unreachable_route_and_a_reset_are_told_apart(nodes: list[Node], registry: Registry) -> None:
    node, (address, _) = nodes[2], registry.place.addresses
    image = f"{registry.host}/app/routes:1"
    for kind, words in (("unreachable", "no route to host"), ("prohibit", "permission denied")):
        node.faults.route(address, kind)
        pod = node.kubelet.add_pod(f"route-{kind}", image)
        assert words in node.wait_failure(pod)
        node.kubelet.remove_pod(pod)
        node.faults.clear()
    node.faults.reset(address, port=registry.place.port)
    pod = node.kubelet.add_pod("route-reset", image)
    assert "connection refused" in node.wait_failure(pod)
    node.kubelet.remove_pod(pod)
    node.faults.clear()
