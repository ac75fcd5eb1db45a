"""One registry that is asked as the walk asks it."""

import asyncio
import base64
import json
from collections.abc import Callable

from pullwhy.plan import Credential, WalkPlan
from pullwhy.secret import Secret
from pullwhy.trace import Trace
from walking.plans import plan_for, walked
from walking.server import Answer, Got, Server
from walking.shop import Shop, error

BIG = b"x" * 200_000
PREFIX = "/v2/team/app"


def ask(
    shop: Shop | Callable[[Got], Answer],
    image: str = "team/app:1",
    change: Callable[[WalkPlan], WalkPlan] = lambda plan: plan,
) -> tuple[Trace, list[Got]]:
    """Walk to one server and return the trace with the requests that came."""
    respond = shop.respond if isinstance(shop, Shop) else shop

    async def go() -> tuple[Trace, list[Got]]:
        async with Server(respond) as server:
            return await walked(change(plan_for(server.port, image))), server.requests

    return asyncio.run(go())


def wanted(*, platform: str = "linux/amd64", layers: tuple[bytes, ...] = (b"layer",)) -> Shop:
    shop = Shop()
    shop.image("team/app", "1", platform, layers)
    return shop


def methods(requests: list[Got]) -> list[str]:
    return [f"{got.method} {got.path.removeprefix(PREFIX).split('/sha256')[0]}" for got in requests]


def basic(user: str, password: str) -> str:
    return f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"


NODE = Credential("robot", Secret("canary"), "/var/lib/kubelet/config.json: registry.test")


class Guarded(Shop):
    """A registry with a token realm of its own: `tokens` maps an Authorization (or none) to the realm's answer."""

    tokens: dict[str, Answer]

    def respond(self, got: Got) -> Answer:
        if got.path == "/token":
            return self.tokens.get(got.headers.get("authorization", ""), error(401, "UNAUTHORIZED"))
        self.challenge = (
            f'Bearer realm="http://{got.headers["host"]}/token",service="reg",scope="repository:team/app:pull"'
        )
        return super().respond(got)


def guarded(tokens: dict[str, Answer], *let_in: str) -> Guarded:
    shop = Guarded(authorization=tuple(f"Bearer {token}" for token in let_in))
    shop.tokens = tokens
    shop.image("team/app", "1")
    return shop


def token(value: str, key: str = "token") -> Answer:
    return Answer(200, {}, json.dumps({key: value, "expires_in": 60}).encode())
