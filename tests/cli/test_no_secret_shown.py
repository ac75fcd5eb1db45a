"""Of a credential nothing is shown: not in the trace, the finding, the explanation, the log, nor on the way back from the child."""

import asyncio
import base64
import json
import secrets
import time
from pathlib import Path

import pytest
from cli.test_diagnose import diagnose
from walking.plans import plan_for, walked
from walking.server import Answer, Got, Server

from pullwhy.image import parse
from pullwhy.node.walk.pipe import TraceFrame, encode
from pullwhy.runtime.kubelet.credentials import supplied_credentials

WINDOW = 8
"""Characters in a row that would be a part of a secret, and are no chance."""


def part(document: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(document).encode()).decode().rstrip("=")


def jwt() -> str:
    claims = {"sub": secrets.token_hex(8), "exp": int(time.time()) - 3600}
    return f"{part({'alg': 'RS256', 'kid': secrets.token_hex(8)})}.{part(claims)}.{secrets.token_urlsafe(32)}"


def ecr() -> str:
    document = {"payload": secrets.token_hex(64), "expiration": int(time.time()) + 3600}
    return base64.b64encode(json.dumps(document).encode()).decode()


PASSWORDS = {"": secrets.token_hex(16), "/shop": jwt(), "/shop/web": ecr()}
USERS = {"": secrets.token_hex(8), "/shop": "robot", "/shop/web": "AWS"}


def config(host: str) -> str:
    return json.dumps(
        {"auths": {f"{host}{path}": {"username": USERS[path], "password": PASSWORDS[path]} for path in PASSWORDS}}
    )


def assert_hidden(text: str) -> None:
    pairs = [base64.b64encode(f"{USERS[path]}:{password}".encode()).decode() for path, password in PASSWORDS.items()]
    for secret in (*PASSWORDS.values(), USERS[""], *pairs):
        for start in range(len(secret) - WINDOW + 1):
            assert secret[start : start + WINDOW] not in text


def echo(got: Got) -> Answer:
    """Refuse, and say in the error what was sent, as a careless registry would."""
    sent = got.headers.get("authorization", "")
    body = json.dumps({"errors": [{"code": "DENIED", "message": f"token expired: {sent}", "detail": sent}]}).encode()
    return Answer(
        401, {"WWW-Authenticate": 'Basic realm="r"', "Content-Type": "application/json", "X-Sent": sent}, body
    )


@pytest.mark.slow
@pytest.mark.parametrize("output", ["json", "wide"])
def test_diagnose_shows_nothing_of_the_credentials_that_were_refused(tmp_path: Path, output: str) -> None:
    async def go() -> str:
        async with Server(echo) as server:
            host = f"127.0.0.1:{server.port}"
            (tmp_path / "auth.json").write_text(config(host))
            words = (f"{host}/shop/web:1", "--credentials", str(tmp_path / "auth.json"), "-o", output)
            done = await asyncio.to_thread(diagnose, *words, root=tmp_path)
            sent = {got.headers["authorization"] for got in server.requests if "authorization" in got.headers}
            assert len(sent) == len(PASSWORDS)
            return done.stdout + done.stderr

    shown = asyncio.run(go())
    assert "CredentialsRejected" in shown
    assert "expired" in shown
    assert_hidden(shown)


def test_nothing_of_them_comes_back_from_the_child() -> None:
    async def go() -> bytes:
        async with Server(echo) as server:
            host = f"registry.test:{server.port}"
            found = supplied_credentials(parse(f"{host}/shop/web:1"), config(host).encode(), "auth.json")
            assert len(found.credentials) == len(PASSWORDS)
            return encode(
                TraceFrame(1, await walked(plan_for(server.port, "shop/web:1", credentials=found.credentials)))
            )

    assert_hidden(asyncio.run(go()).decode(errors="replace"))
