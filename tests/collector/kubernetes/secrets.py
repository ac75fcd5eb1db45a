"""A private registry, a secret that opens it, and an agent that may read the secret."""

import asyncio
import base64
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from collector.kubernetes.standin import StandIn
from node.fakes import START, WEB
from walking.server import Answer, Got, Server
from walking.shop import Shop

from pullwhy.model import PodRef, PullFailure, Reason
from pullwhy.node.investigate.investigate import Investigation, Investigator
from pullwhy.node.walk.plan import Sources
from pullwhy.node.walk.pullsecrets import PullSecrets
from pullwhy.plan import WalkPlan
from pullwhy.probe.clock import SystemClock
from pullwhy.probe.network import RealNetwork
from pullwhy.probe.walk import walk
from pullwhy.trace import Trace

USER, PASSWORD = "canary-user-5e1f", "canary-password-93ac"
VALUES = (USER, PASSWORD, base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode())
SECRET = "/api/v1/namespaces/shop/secrets/regcred"


def dockerconfig(*keys: str, legacy: bool = False) -> dict[str, Any]:
    auths = {key: {"auth": VALUES[2]} for key in keys}
    kind, field, document = (
        ("kubernetes.io/dockercfg", ".dockercfg", auths)
        if legacy
        else ("kubernetes.io/dockerconfigjson", ".dockerconfigjson", {"auths": auths})
    )
    return secret(kind, **{field: json.dumps(document)})


def secret(kind: str, **data: str) -> dict[str, Any]:
    encoded = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
    return {"kind": "Secret", "apiVersion": "v1", "metadata": {"name": "regcred"}, "type": kind, "data": encoded}


def account(api: StandIn, folder: Path) -> Path:
    """Make the folder that the kubelet mounts into a pod."""
    mounted = folder / "serviceaccount"
    mounted.mkdir(exist_ok=True)
    shutil.copy(api.settings.ca, mounted / "ca.crt")
    shutil.copy(api.settings.token_file, mounted / "token")
    return mounted


def service(api: StandIn) -> Mapping[str, str]:
    port = api.settings.server.rpartition(":")[2]
    return {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": port}


class Walks:
    """Walks in this process."""

    def __init__(self) -> None:
        self.plans: list[WalkPlan] = []

    async def walk(self, plan: WalkPlan) -> Trace:
        self.plans.append(plan)
        return await walk(plan, RealNetwork(), SystemClock())


class PlainServer(Server):
    """Answers a TLS hello as Go's HTTP server does; the runtime then goes on without TLS on loopback, and nowhere else."""

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        begin = await reader.readexactly(1)
        if begin == b"\x16":
            writer.write(b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.")
            await writer.drain()
            return False
        whole = asyncio.StreamReader()
        whole.feed_data(begin + await reader.readuntil(b"\r\n\r\n"))
        return await super()._one(whole, writer)


class Private(Shop):
    """A registry that asks for a name and a password (Basic), and takes one pair."""

    def respond(self, got: Got) -> Answer:
        if got.headers.get("authorization") == f"Basic {VALUES[2]}":
            return super().respond(got)
        return Answer(401, {"WWW-Authenticate": 'Basic realm="r"'}, b'{"errors":[{"code":"UNAUTHORIZED"}]}')


def private() -> Private:
    shop = Private()
    shop.image("team/app", "1")
    return shop


class Bench:
    """A node, an API and a registry."""

    def __init__(self, api: StandIn, folder: Path, *names: str) -> None:
        self.said: dict[str, str] = {}
        self.walks = Walks()
        self.sources = Sources(
            host_root=folder, proc=folder, runtime_endpoint=str(folder / "none.sock"), service_host=""
        )
        self.secrets = PullSecrets(names or ("shop/regcred",), service(api), self._impaired, account(api, folder))
        self.investigator = Investigator(self.sources, self.walks, lambda: START, secrets=self.secrets)

    def _impaired(self, source: str, line: str) -> None:
        self.said[source] = line

    def look(
        self,
        respond: Any,
        pod: PodRef | None = WEB,
        image: str = "team/app:1",
        *,
        host: str = "127.0.0.1",
        **options: Any,
    ) -> tuple[Investigation, list[Got]]:
        async def go() -> tuple[Investigation, list[Got]]:
            async with PlainServer(respond) as server:
                name = f"{host}:{server.port}/{image}"
                if callable(options.get("prepare")):
                    options["prepare"](server.port)
                told = PullFailure(
                    START, "kubelet.service", options.get("reason", Reason.ERR_IMAGE_PULL), f'failed to pull and unpack image "{name}": {options.get("text", "401 Unauthorized")}',
                    pod, "app", name,
                )  # fmt: skip
                failure = told if options.get("failure", True) else None
                found = await self.investigator.look(name, failure, **options.get("how", {}))
                return found, server.requests

        return asyncio.run(go())


def shown(requests: list[Got]) -> list[str]:
    return [got.headers["authorization"] for got in requests if "authorization" in got.headers]


def evidence(found: Investigation) -> str:
    return "\n".join(each.fact for each in found.diagnosis.evidence)


def keyed(api: StandIn, *, legacy: bool = False, form: str = "127.0.0.1:{}") -> Any:
    def prepare(port: int) -> None:
        api.objects[SECRET] = dockerconfig(form.format(port), legacy=legacy)

    return prepare
