"""From a host's files and a runtime's answers to the plan of a walk."""

import asyncio
import base64
import json
import socket
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from pullwhy.model import Outcome, Stage
from pullwhy.node.walk.plan import InvalidCredentials, NodeSight, Prepared, Sources, make_plan, survey
from pullwhy.runtime.cri import CRIClient, CRIError, ImageFilesystem, RuntimeStatus, RuntimeVersion

CONFIG = "/etc/containerd/config.toml"
MIRROR = "/etc/containerd/certs.d/reg.example/hosts.toml"
BODY = base64.b64encode(b"\x30\x01a").decode()
CERTIFICATE = f"-----BEGIN CERTIFICATE-----\n{BODY}\n-----END CERTIFICATE-----\n"
AUTHS = json.dumps({"auths": {"reg.example": {"auth": base64.b64encode(b"node:canary").decode()}}})
HOST: Mapping[str, str] = {
    CONFIG: 'version = 2\n[plugins."io.containerd.grpc.v1.cri".registry]\nconfig_path = "/etc/containerd/certs.d"\n',
    MIRROR: '[host."https://m.example"]\n',
    "/etc/resolv.conf": "nameserver 10.0.0.53\n",
    "/etc/hosts": "10.0.0.9 reg.example\n",
    "/etc/ssl/certs/ca-certificates.crt": CERTIFICATE,
    "/var/lib/kubelet/config.json": AUTHS,
    "/etc/kubernetes/kubelet.conf": "clusters:\n- cluster:\n    server: https://10.0.0.1:6443\n",
    "/var/lib/containerd/x": "",
}


class Runtime(CRIClient):
    """Answers like a containerd, without a connection."""

    def __init__(
        self,
        version: str = "v1.7.24",
        *,
        down: bool = False,
        config: Mapping[str, object] | None = None,
        name: str = "containerd",
    ) -> None:
        self.name = name
        self.socket = "/run/containerd/containerd.sock"
        self._version = version
        self._down = down
        self._config = config or {}

    async def version(self) -> RuntimeVersion:
        if self._down:
            raise CRIError("Unavailable", "nobody is there")
        return RuntimeVersion(self.name, self._version, "v1")

    async def status(self) -> RuntimeStatus:
        return RuntimeStatus((), self._config, ("m.example",))

    async def image_fs(self) -> tuple[ImageFilesystem, ...]:
        return (ImageFilesystem("/var/lib/containerd", 1, 1),)


@pytest.fixture
def listener() -> Iterator[Path]:
    """Return the root of a host where a process listens on containerd's socket; its path must be short (unix(7): 108 bytes)."""
    with tempfile.TemporaryDirectory() as root, socket.socket(socket.AF_UNIX) as server:
        path = Path(root) / "run/containerd/containerd.sock"
        path.parent.mkdir(parents=True)
        server.bind(str(path))
        server.listen()
        yield Path(root)


def sources(root: Path, files: Mapping[str, str] = HOST) -> Sources:
    for name, content in files.items():
        path = root / name.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    (root / "proc").mkdir(exist_ok=True)
    return Sources(
        host_root=root, proc=root / "proc", machine="x86_64", hostname="node.a.example", service_host="10.96.0.1"
    )


def see(given: Sources, runtime: CRIClient | None = None) -> NodeSight:
    return asyncio.run(survey(given, runtime or Runtime()))


def prepare(root: Path, image: str = "reg.example/a/b:1", files: Mapping[str, str] = HOST) -> Prepared:
    given = sources(root, files)
    return make_plan(image, see(given), given)


def test_a_plan_holds_the_nodes_own_settings(tmp_path: Path) -> None:
    plan = prepare(tmp_path).plan
    assert plan is not None
    assert [endpoint.authority for endpoint in plan.endpoints] == ["m.example", "reg.example"]
    assert plan.platform == "linux/amd64"
    assert (plan.resolver.nameservers, plan.resolver.search) == (("10.0.0.53",), ("a.example",))
    assert plan.resolver.hosts == (("10.0.0.9", ("reg.example",)),)
    assert plan.system_trust == CERTIFICATE
    assert [(c.username, c.supplied) for c in plan.credentials] == [("node", False)]
    assert plan.forbidden_addresses == ("10.96.0.1", "10.0.0.1:6443")
    assert plan.trusted_hosts == ("m.example", "reg.example")
    assert plan.proxies is None
    assert not plan.local_addresses_allowed


def test_a_host_that_is_named_twice_is_walked_once(tmp_path: Path) -> None:
    twice = 'server = "https://reg.example"\n[host."https://reg.example"]\n[host."https://m.example"]\n'
    prepared = prepare(tmp_path, files={**HOST, MIRROR: twice})
    assert prepared.plan is not None
    assert prepared.effective is not None
    assert [each.authority for each in prepared.effective.endpoints] == ["reg.example", "m.example", "reg.example"]
    assert [each.authority for each in prepared.plan.endpoints] == ["reg.example", "m.example"]


def test_no_secret_is_in_a_plans_text(tmp_path: Path) -> None:
    assert "canary" not in repr(prepare(tmp_path))


def test_the_prelude_tells_reference_configuration_and_storage(tmp_path: Path) -> None:
    results = prepare(tmp_path, files={**HOST, MIRROR: "[host"}).results
    stages = [(result.stage, result.outcome) for result in results]
    assert stages[0] == (Stage.REFERENCE, Outcome.PASSED)
    assert (Stage.CONFIG, Outcome.FAILED) in stages
    assert (Stage.PROXY, Outcome.SKIPPED) in stages
    assert stages[-1] == (Stage.STORAGE, Outcome.PASSED)
    assert stages.count((Stage.STORAGE, Outcome.PASSED)) == 1


def test_an_invalid_reference_ends_before_any_plan(tmp_path: Path) -> None:
    prepared = prepare(tmp_path, "reg.example/Web:1")
    assert (prepared.image, prepared.plan) == (None, None)
    assert prepared.results[0].outcome is Outcome.FAILED
    assert "did you mean reg.example/web:1?" in prepared.results[0].detail


def test_a_configuration_that_fails_every_pull_leaves_nothing_to_walk(tmp_path: Path) -> None:
    prepared = prepare(tmp_path, files={**HOST, MIRROR: '[host."https://m.example"]\nca = "none.crt"\n'})
    assert prepared.image is not None
    assert prepared.plan is None
    assert any(result.config is not None and result.config.decides for result in prepared.results)


def test_hosts_that_only_the_image_names_are_not_trusted(tmp_path: Path) -> None:
    everywhere = {**HOST, "/etc/containerd/certs.d/_default/hosts.toml": '[host."https://m.example"]\n'}
    plan = prepare(tmp_path, "other.example/a:1", everywhere).plan
    assert plan is not None
    assert plan.trusted_hosts == ("m.example",)


def test_the_runtimes_own_credentials_are_noted(tmp_path: Path) -> None:
    assert prepare(tmp_path).credentials_held == ("m.example",)
    assert prepare(tmp_path, "other.example/a:1").credentials_held == ()


@pytest.mark.parametrize(
    ("servers", "service_host", "forbidden"),
    [
        ("server: https://api.example:6443", "", ("api.example",)),
        ("server: https://[fd00::1]", "", ("[fd00::1]:443",)),
        ("server: https://10.0.0.1:99999", "10.96.0.1", ("10.96.0.1",)),
        ("server: 10.0.0.1:6443", "", ("10.0.0.1:6443",)),
    ],
)
def test_the_api_server_is_never_dialled(
    tmp_path: Path, servers: str, service_host: str, forbidden: tuple[str, ...]
) -> None:
    given = replace(sources(tmp_path, {**HOST, "/etc/kubernetes/kubelet.conf": servers}), service_host=service_host)
    plan = make_plan("a", see(given), given).plan
    assert plan is not None
    assert plan.forbidden_addresses == forbidden


def test_overrides_win_and_are_meant_as_this_process_sees_them(tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    (own / "config.toml").write_text(
        'version = 2\n[plugins."io.containerd.grpc.v1.cri".registry.mirrors."*"]\nendpoint = ["https://n.example"]\n'
    )
    (own / "resolv.conf").write_text("nameserver 10.9.9.9\n")
    (own / "auth.json").write_text(AUTHS.replace("reg.example", "*.example"))
    given = replace(
        sources(tmp_path / "host"),
        runtime_config=str(own / "config.toml"),
        resolv_conf=str(own / "resolv.conf"),
        credentials=str(own / "auth.json"),
        platform="linux/s390x",
    )
    said = {"registry": {"configPath": "/etc/containerd/certs.d"}}
    sight = see(given, Runtime(config=said))
    plan = make_plan("reg.example/a", sight, given).plan
    assert plan is not None
    assert [endpoint.authority for endpoint in plan.endpoints] == ["n.example", "reg.example"]
    assert plan.resolver.nameservers == ("10.9.9.9",)
    assert plan.resolver.hosts == (("10.0.0.9", ("reg.example",)),)
    assert [credential.supplied for credential in plan.credentials] == [False, True]
    assert plan.platform == "linux/s390x"


def test_credentials_that_cannot_be_used_are_refused(tmp_path: Path) -> None:
    given = replace(sources(tmp_path), credentials=str(tmp_path / "none.json"))
    with pytest.raises(InvalidCredentials, match=r"none\.json: no such file"):
        make_plan("a", see(given), given)


def test_near_misses_among_credentials_are_told(tmp_path: Path) -> None:
    results = prepare(tmp_path, "reg.example:5000/a").results
    whole, miss = [result for result in results if result.stage is Stage.AUTH]
    assert "its port is absent" in miss.detail
    assert whole.detail == "the node has no credentials for this image"
    assert whole.access is not None
    assert whole.access.near_misses == (miss.detail,)


def test_what_the_kubelet_has_for_the_image_is_told(tmp_path: Path) -> None:
    flags = "kubelet\0--image-credential-provider-config=/p.yaml\0--image-credential-provider-bin-dir=/b\0"
    config = 'kind: CredentialProviderConfig\nproviders:\n- name: provider\n  matchImages: ["reg.example"]\n'
    files = {**HOST, "/proc/5/comm": "kubelet\n", "/proc/5/cmdline": flags, "/p.yaml": config}
    (whole,) = [result for result in prepare(tmp_path, files=files).results if result.stage is Stage.AUTH]
    file = "/var/lib/kubelet/config.json (reg.example)"
    assert whole.detail == f"the kubelet has credentials of {file}, the exec credential provider provider"
    assert whole.access is not None
    assert [each.name for each in whole.access.providers.serving] == ["provider"]


def test_a_runtime_that_does_not_answer_is_said_and_the_files_still_count(tmp_path: Path) -> None:
    given = sources(tmp_path)
    sight = see(given, Runtime(down=True))
    (failed,) = [result for result in sight.view.results if result.stage is Stage.RUNTIME]
    assert (sight.runtime_answers, failed.outcome) == (False, Outcome.FAILED)
    assert make_plan("reg.example/a", sight, given).plan is not None


def test_no_socket_at_all_is_said(tmp_path: Path) -> None:
    sight = asyncio.run(survey(sources(tmp_path)))
    assert sight.runtime_answers is None
    assert "no runtime socket" in sight.view.results[0].detail


def test_a_named_socket_that_is_absent_is_said(tmp_path: Path) -> None:
    given = replace(sources(tmp_path), runtime_endpoint=f"unix://{tmp_path}/none.sock")
    sight = asyncio.run(survey(given))
    assert sight.runtime_answers is False
    assert "no such file" in sight.view.results[0].detail


def test_a_socket_without_a_runtime_behind_it_does_not_answer(listener: Path) -> None:
    given = replace(sources(listener), runtime_endpoint=f"{listener}/run/containerd/none")
    assert asyncio.run(survey(given)).runtime_answers is False


def test_the_runtimes_process_gives_configuration_proxy_and_mounts(tmp_path: Path) -> None:
    process = {
        "/proc/7/comm": "containerd\n",
        "/proc/7/cmdline": "containerd\0-c\0/etc/other.toml\0--root\0/var/lib/containerd\0",
        "/proc/7/environ": "HTTPS_PROXY=http://u:canary@proxy.example:3128\0SECRET=canary\0",
        "/proc/7/stat": "7 (containerd) S" + " 0" * 18 + " 500 0\n",
        "/proc/stat": "btime 1000000\n",
        "/proc/7/mountinfo": "24 1 0:6 / / ro - xfs /dev/sdc1 rw\n",
        "/etc/other.toml": 'version = 2\n[plugins."io.containerd.grpc.v1.cri"]\nsandbox_image = "own/pause:1"\n',
    }
    given = sources(tmp_path, {**HOST, **process})
    sight = see(given)
    assert sight.view.config is not None
    assert (sight.view.config.file, sight.view.config.sandbox_image) == ("/etc/other.toml", "own/pause:1")
    assert [(result.stage, result.outcome) for result in sight.storage] == [(Stage.STORAGE, Outcome.FAILED)]
    prepared = make_plan("reg.example/a", sight, given)
    assert prepared.plan is not None
    assert prepared.plan.proxies is not None
    assert prepared.plan.proxies.https.reveal() == "http://u:canary@proxy.example:3128"
    assert "canary" not in repr(prepared)
    stale = [result.target for result in prepared.results if "changed after containerd started" in result.detail]
    assert stale == ["/etc/ssl/certs/ca-certificates.crt", "/etc/other.toml"]


def test_what_containerd_1_says_of_itself_reaches_the_plan(tmp_path: Path) -> None:
    given = sources(tmp_path)
    said = {"registry": {"configPath": "", "mirrors": {"*": {"endpoint": ["https://live.example"]}}}}
    plan = make_plan("reg.example/a", see(given, Runtime(config=said)), given).plan
    assert plan is not None
    assert [endpoint.authority for endpoint in plan.endpoints] == ["live.example", "reg.example"]


def test_what_crio_makes_of_a_short_name_is_walked_and_docker_hubs_credentials_stay_with_docker_hub(
    tmp_path: Path,
) -> None:
    entry = {"auth": base64.b64encode(b"node:canary").decode()}
    files = {
        "/etc/containers/registries.conf": '[aliases]\n"app" = "reg.example/team/app"\n',
        "/etc/containers/policy.json": '{"default": [{"type": "insecureAcceptAnything"}]}',
        "/var/lib/kubelet/config.json": json.dumps({"auths": {"docker.io": entry}}),
    }
    given = sources(tmp_path, files)
    found = make_plan("app:1", see(given, Runtime("1.36.3", name="cri-o")), given)
    assert found.plan is not None
    assert (str(found.image), found.plan.credentials) == ("reg.example/team/app:1", ())
    assert [each.host for each in found.plan.endpoints] == ["reg.example"]
    assert any("docker.io" in each.detail and each.stage is Stage.AUTH for each in found.results)
    hub = make_plan("docker.io/library/app:1", see(given, Runtime("1.36.3", name="cri-o")), given)
    assert hub.plan is not None
    assert len(hub.plan.credentials) == 1
