"""The user's token goes to kubectl's end of the tunnel alone: not to who takes its port when kubectl has ended."""

import contextlib
import os
import signal
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme
from cli.kubectl.standin import WHERE, Kubectl
from cli.test_token import TOKEN, Collector, collector

from pullwhy.cli.client import Unreachable
from pullwhy.cli.kubectl.credential import Credential
from pullwhy.cli.kubectl.program import Kubectl as Program
from pullwhy.cli.kubectl.reaching import Identity, Reaching
from pullwhy.cli.kubectl.tunnel import Tunnel
from pullwhy.secret import Secret

PATH = "/api/v1/findings"


def me() -> Identity:
    return Identity(lambda: Credential(Secret(TOKEN), "test"))


class Ways(Tunnel):
    """A tunnel to one place after the other, which stands but where the test says otherwise of the next looks."""

    def __init__(self, *servers: Collector) -> None:
        self._servers = list(servers)
        self.namespace, self._said = "pullwhy", None
        self.looks: list[bool] = []

    @property
    def stands(self) -> bool:
        return self.looks.pop(0) if self.looks else True

    def open(self) -> str:
        return self._servers.pop(0).url


@contextlib.contextmanager
def over_tls() -> Iterator[Collector]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("pullwhy-collector.pullwhy.svc").configure_cert(context)
    with collector() as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        yield server


def test_a_port_that_somebody_took_after_kubectls_end_is_not_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    standin = Kubectl(tmp_path)
    for name in ("PATH", WHERE):
        monkeypatch.setenv(name, standin.environment[name])
    with collector() as server:
        standin.set(collector=server.server_port)
        tunnel = Tunnel(Program(()), "pullwhy")
        with contextlib.closing(tunnel):
            client = Reaching(tunnel, me(), 10)
            assert client.one(PATH, {})["items"] == []
            taken = int(client._server.rpartition(":")[2])
            assert tunnel._process
            os.kill(tunnel._process.pid, signal.SIGKILL)
            os.waitid(os.P_PID, tunnel._process.pid, os.WEXITED | os.WNOWAIT)
            with collector(taken) as thief:
                with client.events("problems") as stream:
                    assert stream.status == 200
                assert client.one(PATH, {})["items"] == []
    assert thief.seen == []
    assert server.seen == [f"Bearer {TOKEN}"] * 3


def test_a_kubectl_that_ends_while_it_is_connected_to_is_noticed_before_the_token_goes() -> None:
    with collector() as thief, collector() as server:
        ways = Ways(thief, server)
        client = Reaching(ways, me(), 10)
        ways.looks = [True, False, False]
        assert client.one(PATH, {})["items"] == []
    assert (thief.seen, server.seen) == ([], [f"Bearer {TOKEN}"])


def test_what_makes_something_is_not_sent_to_who_took_the_port_either() -> None:
    with collector() as thief:
        ways = Ways(thief)
        client = Reaching(ways, me(), 10)
        ways.looks = [True, False, False]
        with pytest.raises(Unreachable, match="kubectl port-forward has ended"):
            client.send("POST", "/api/v1/probes", {})
    assert thief.seen == []


def test_another_certificate_on_the_same_tunnel_gets_no_token_and_a_new_tunnel_is_trusted_anew() -> None:
    with over_tls() as first, over_tls() as thief, over_tls() as then:
        client = Reaching(Ways(first, then), me(), 10)
        assert client.one(PATH, {})["items"] == []
        client._server = thief.url.replace("http", "https")
        assert client.one(PATH, {})["items"] == []
        assert client.one(PATH, {})["items"] == []
    assert [len(each.seen) for each in (first, thief, then)] == [1, 0, 2]
