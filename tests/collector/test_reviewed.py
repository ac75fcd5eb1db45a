"""A flood of invented tokens delays and shuts out nobody who is known."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from collector.kubernetes.standin import Fault, StandIn
from collector.minted import ServerFiles, token
from collector.samples import until

from pullwhy.collector.access.readers import KubernetesReaders
from pullwhy.collector.access.reviewed import Bounds, Reviewed
from pullwhy.collector.denials import CannotTell, Denial, Denied
from pullwhy.collector.identities import Identities
from pullwhy.collector.settings import CollectorSettings
from pullwhy.kubernetes.access import MAX_TOKEN, find
from pullwhy.kubernetes.client import CONNECTIONS, Client
from pullwhy.secret import Secret

LONG = 1000.0


@pytest.fixture
def api(tmp_path: Path) -> Iterator[StandIn]:
    (tmp_path / "api").mkdir()
    running = StandIn(tmp_path / "api")
    yield running
    running.stop()


class Reviews:
    """Answers of reviews; one that is not there never comes."""

    def __init__(self) -> None:
        self.now = 0.0
        self.answers: dict[bytes, str | Exception] = {}
        self.kept: Reviewed[str] = Reviewed(Bounds(60.0, 10.0, 300.0, kept=3, waiting=2), lambda: self.now)

    async def ask(self, key: bytes) -> str:
        async def review() -> str:
            if key not in self.answers:
                await asyncio.Event().wait()
            answer = self.answers[key]
            if isinstance(answer, Exception):
                raise answer
            return answer

        return await self.kept.get(key, review, LONG)


def test_while_too_many_are_under_review_who_was_known_is_believed_and_a_stranger_comes_again() -> None:
    async def scenario() -> None:
        reviews = Reviews()
        reviews.answers[b"jane"] = "jane"
        assert await reviews.ask(b"jane") == "jane"
        reviews.now = 61.0
        flood = [asyncio.create_task(reviews.ask(bytes([number]))) for number in range(2)]
        await asyncio.sleep(0)
        assert await reviews.ask(b"jane") == "jane"
        with pytest.raises(CannotTell, match="come again"):
            await reviews.ask(b"stranger")
        reviews.now = 361.0
        with pytest.raises(CannotTell, match="come again"):
            await reviews.ask(b"jane")
        for each in flood:
            each.cancel()
        await asyncio.wait(flood)
        assert await reviews.ask(b"jane") == "jane"

    asyncio.run(scenario())


def test_refusals_push_out_nobody_who_is_known_and_end_what_was_believed() -> None:
    async def scenario() -> None:
        reviews, no = Reviews(), Denied(Denial.BAD_TOKEN, "not this one", "who")
        reviews.answers[b"jane"] = "jane"
        await reviews.ask(b"jane")
        for number in range(10):
            reviews.answers[bytes([number])] = no
            for _ in range(2):
                with pytest.raises(Denied, match="not this one"):
                    await reviews.ask(bytes([number]))
        del reviews.answers[b"jane"]
        assert await reviews.ask(b"jane") == "jane"
        reviews.now = 61.0
        reviews.answers[b"jane"] = no
        with pytest.raises(Denied):
            await reviews.ask(b"jane")
        reviews.now = 72.0
        del reviews.answers[b"jane"]
        flood = [asyncio.create_task(reviews.ask(bytes([100 + number]))) for number in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(CannotTell):
            await reviews.ask(b"jane")
        for each in flood:
            each.cancel()

    asyncio.run(scenario())


@pytest.mark.parametrize("sent", ["a b", "tök", "semi;colon", '"quoted"', "=", "x" * (MAX_TOKEN + 1)])
def test_what_has_not_the_form_of_a_token_is_refused_without_a_review(api: StandIn, sent: str) -> None:
    async def scenario() -> None:
        client = Client(find(api.settings, {}))
        with pytest.raises(Denied) as error:
            await KubernetesReaders(client, "").reader(Secret(sent))
        assert (error.value.denial, api.seen) == (Denial.BAD_TOKEN, [])
        await client.close()

    asyncio.run(scenario())


def test_readers_whose_reviews_hang_do_not_delay_agents(tmp_path: Path, api: StandIn) -> None:
    tls: dict[str, Any] = ServerFiles(tmp_path).settings
    good = token()
    api.token(good, "system:serviceaccount:pullwhy:pullwhy-agent", "pullwhy", node_name="node-a")
    api.misbehave("tokenreviews", *[Fault(503, hang=2.0)] * 2 * CONNECTIONS)

    async def scenario() -> None:
        identities = Identities(
            CollectorSettings(agent_auth="kubernetes", reader_auth="kubernetes", kubernetes=api.settings, **tls)
        )
        identities.open()
        assert identities._readers_client
        readers = KubernetesReaders(identities._readers_client, "")
        flood = [asyncio.create_task(readers.reader(Secret(f"invented-{number}"))) for number in range(2 * CONNECTIONS)]
        await until(lambda: len(api.asked("tokenreviews")) >= CONNECTIONS)
        api.faults.clear()
        began = time.monotonic()
        assert (await identities.gate().admit({}, Secret(good))).node == "node-a"
        assert time.monotonic() - began < 1.0
        for each in flood:
            each.cancel()
        await asyncio.wait(flood)
        await identities.close()

    asyncio.run(scenario())
