"""What an answer takes once a million findings are stored: a real collector on a database that was filled before."""

import asyncio
import dataclasses
import functools
import http.client
import itertools
import json
import random
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from collector.process import CollectorProcess

from bench.figures import Figure, quantile, say
from bench.usage import cpu_seconds
from pullwhy.collector.problem import problem_key
from pullwhy.collector.records import FindingRecord, NodeFacts, Speaker
from pullwhy.collector.store import open_store
from pullwhy.diagnose.document.finding import encode
from pullwhy.model import (
    Answer,
    CauseId,
    Confidence,
    Diagnosis,
    Evidence,
    FailingPod,
    Finding,
    Outcome,
    RemedyRef,
    Retryable,
    Stage,
    State,
    TraceLine,
)

FINDINGS: Final = 1_000_000
NODES: Final = 15_000
IMAGES: Final = 5_000
REGISTRIES: Final = 20
NAMESPACES: Final = 200
ACTIVE_SHARE: Final = 0.05
"""Most of what is kept is over."""
OF_ONE_NODE: Final = 20
AT_ONCE: Final = 250
"""Batches of as many nodes, whose commit is shared."""
SHOWN_SECONDS: Final = 15.0
ROUNDS: Final = 40
"""Of each question, each time about something else."""
BAR: Final = 200.0
ROOM: Final = "database_mib = 100_000"
"""Nothing is forgotten meanwhile."""
CAUSES: Final = (
    CauseId.TAG_NOT_FOUND,
    CauseId.CREDENTIALS_MISSING,
    CauseId.CERTIFICATE_UNTRUSTED,
    CauseId.DNS_NAME_NOT_FOUND,
    CauseId.CONNECTION_TIMED_OUT,
    CauseId.REGISTRY_SERVER_ERROR,
    CauseId.RATE_LIMITED,
    CauseId.DISK_FULL,
)
NOW: Final = datetime.now(UTC)
MONTH: Final = timedelta(days=30)


def run(findings: int = FINDINGS) -> list[Figure]:
    """Measure and return the figures."""
    with tempfile.TemporaryDirectory(prefix="pullwhy-bench-") as folder:
        began = time.monotonic()
        asyncio.run(_fill(Path(folder) / "collector.db", findings))
        size = (Path(folder) / "collector.db").stat().st_size / 2**20
        say(f"{findings:,} findings take {size:,.0f} MiB and were stored in {time.monotonic() - began:.0f} s")
        with CollectorProcess(Path(folder), ROOM) as collector:
            return _measure(collector, findings)


def _measure(collector: CollectorProcess, findings: int) -> list[Figure]:
    asker = _Asker(collector)
    figures, everything = [], []
    for name, paths in _questions(asker).items():
        before = cpu_seconds(collector.pid)
        took = [asker.milliseconds(path) for path in itertools.islice(paths, ROUNDS)]
        cpu = (cpu_seconds(collector.pid) - before) * 1000 / len(took)
        everything += took
        p50, p99 = quantile(took, 0.5), quantile(took, 0.99)
        told = f"p50 {p50:.1f} ms, at first {took[0]:.1f} ms, CPU {cpu:.1f} ms"
        say(f"{name}: p99 {p99:.1f} ms, {told}")
        figures.append(Figure(f"{name}, p99", p99, "ms", BAR, told))
    overall = Figure(f"all questions at {findings:,} stored findings, p99", quantile(everything, 0.99), "ms", BAR)
    return [*figures, overall]


class _Asker:
    """Asks over one connection, as a page or a program does."""

    def __init__(self, collector: CollectorProcess) -> None:
        self._connection = http.client.HTTPConnection(collector.url.removeprefix("http://"), timeout=60)
        self.random = random.Random(1)

    def milliseconds(self, path: str) -> float:
        """Return how long an answer took, decoding it not counted."""
        began = time.perf_counter()
        self._read(path)
        return (time.perf_counter() - began) * 1000

    def ask(self, path: str) -> Any:
        """Return an answer."""
        return json.loads(self._read(path))

    def _read(self, path: str) -> bytes:
        self._connection.request("GET", path)
        response = self._connection.getresponse()
        body = response.read()
        if response.status != http.HTTPStatus.OK:
            raise SystemExit(f"bench: {path} was answered {response.status}: {body[:300]!r}")
        return body


def _questions(asker: _Asker) -> dict[str, Iterator[str]]:
    """Return what is asked: the paths of each kind of question."""
    pick = asker.random
    findings, problems = "/api/v1/findings", "/api/v1/problems"
    ids = [item["id"] for item in asker.ask(f"{findings}?limit=500")["items"]]
    found = [item["id"] for item in asker.ask(f"{problems}?limit=500&active=true")["items"]]

    def each(path: Callable[[], str]) -> Iterator[str]:
        return iter(path, None)

    return {
        "problems, active": each(lambda: f"{problems}?active=true"),
        "problems, active, 500 of them": each(lambda: f"{problems}?active=true&limit=500"),
        "problems, page by page": _pages(asker, f"{problems}?limit=100"),
        "problems of a namespace": each(lambda: f"{problems}?active=true&namespace=ns-{pick.randrange(NAMESPACES)}"),
        "problems of a node": each(lambda: f"{problems}?active=true&node={_node(pick.randrange(NODES))}"),
        "problems of a registry": each(lambda: f"{problems}?active=true&registry={_registry(pick.randrange(IMAGES))}"),
        "problems of an image": each(lambda: f"{problems}?image={_image(pick.randrange(IMAGES))}"),
        "problems of a cause": each(lambda: f"{problems}?active=true&cause={pick.choice(CAUSES)}"),
        "problems that are silenced": each(lambda: f"{problems}?silenced=true"),
        "one problem": each(lambda: f"{problems}/{pick.choice(found)}"),
        "findings": each(lambda: findings),
        "findings, 500 of them": each(lambda: f"{findings}?limit=500"),
        "findings, page by page": _pages(asker, f"{findings}?limit=100"),
        "findings, active": each(lambda: f"{findings}?state=Active"),
        "findings of a node": each(lambda: f"{findings}?node={_node(pick.randrange(NODES))}"),
        "findings of a namespace, active": each(
            lambda: f"{findings}?state=Active&namespace=ns-{pick.randrange(NAMESPACES)}"
        ),
        "findings of a pod": each(
            lambda: f"{findings}?namespace=ns-{pick.randrange(NAMESPACES)}&pod=pod-{pick.randrange(FINDINGS)}"
        ),
        "findings of an image": each(lambda: f"{findings}?image={_image(pick.randrange(IMAGES))}"),
        "findings of a cause, active": each(lambda: f"{findings}?state=Active&cause={pick.choice(CAUSES)}"),
        "findings of a registry and cause": each(
            lambda: f"{findings}?registry={_registry(pick.randrange(IMAGES))}&cause={pick.choice(CAUSES)}"
        ),
        "findings of a problem": each(lambda: f"{findings}?problem={pick.choice(found)}"),
        "findings since an hour": each(lambda: f"{findings}?since=1h"),
        "findings whose id begins so": each(lambda: f"{findings}?id={pick.choice(ids)[:6]}"),
        "one finding": each(lambda: f"{findings}/{pick.choice(ids)}"),
        "registries": each(lambda: "/api/v1/registries"),
        "nodes that fail at a registry": each(lambda: f"/api/v1/registries/{_registry(pick.randrange(IMAGES))}"),
        "nodes": each(lambda: "/api/v1/nodes"),
        "metrics": each(lambda: "/metrics"),
    }


def _pages(asker: _Asker, path: str) -> Iterator[str]:
    cursor = ""
    while True:
        yield path + cursor
        following = asker.ask(path + cursor)["next"]
        cursor = f"&cursor={following}" if following else ""


async def _fill(path: Path, findings: int) -> None:
    """Store findings as agents' batches bring them: some of one node, then of another."""
    store = open_store(path)
    try:
        speakers = [Speaker("", _node(number), "outbox") for number in range(NODES)]
        sessions = await asyncio.gather(*(store.open_session(speaker, FACTS) for speaker in speakers))
        made, shown = _records(findings), time.monotonic()
        batches = iter(lambda: list(itertools.islice(made, OF_ONE_NODE)), [])
        for number in itertools.count():
            several = list(itertools.islice(batches, AT_ONCE))
            if not several:
                return
            first = number * AT_ONCE
            which = [sessions[(first + offset) * 7919 % NODES] for offset in range(len(several))]
            writes = [
                store.write(session, _of(session.speaker.node, batch), batch[-1].sequence)
                for session, batch in zip(which, several, strict=True)
            ]
            await asyncio.gather(*writes)
            if time.monotonic() - shown > SHOWN_SECONDS:
                shown = time.monotonic()
                say(f"{(first + len(several)) * OF_ONE_NODE:,} findings are stored")
    finally:
        await store.close()


def _of(node: str, records: Sequence[FindingRecord]) -> list[FindingRecord]:
    """Return the records as those of a node."""
    name = node.encode()
    return [dataclasses.replace(each, document=each.document.replace(b"NODE", name)) for each in records]


def _records(findings: int) -> Iterator[FindingRecord]:
    chance = random.Random(2)
    templates = {cause: encode(_finding(cause)) for cause in CAUSES}
    for number in range(1, findings + 1):
        cause, which = chance.choice(CAUSES), min(chance.randrange(IMAGES), chance.randrange(IMAGES))
        image, namespace, last_seen = _image(which), f"ns-{which % NAMESPACES}", NOW - MONTH * chance.random()
        active = chance.random() < ACTIVE_SHARE
        finding_id = f"{chance.getrandbits(64):016x}"
        document = templates[cause]
        for mark, text in (
            ("ID", finding_id),
            ("REGISTRY/IMAGE:1", image),
            ("REGISTRY/IMAGE", image.partition(":")[0]),
            ("REGISTRY", _registry(which)),
        ):
            document = document.replace(mark.encode(), text.encode())
        if active:
            document, last_seen = document.replace(b'"Recovered"', b'"Active"'), NOW - (NOW - last_seen) / 500
        key = problem_key(_stub(cause, image, _registry(which)))
        yield FindingRecord(
            sequence=number,
            id=finding_id,
            image=image,
            repository=image.partition(":")[0],
            registry=_registry(which),
            cause=cause,
            state=State.ACTIVE if active else State.RECOVERED,
            first_seen=last_seen - timedelta(hours=1),
            last_seen=last_seen,
            pods=((namespace, f"pod-{number}"),),
            document=document,
            problem=key,
        )


@functools.cache
def _stub(cause: CauseId, image: str, registry: str) -> Finding:
    return dataclasses.replace(_finding(cause), image=image, registry=registry)


def _finding(cause: CauseId) -> Finding:
    """Return a finding as long as those of real walks are."""
    target = "https://REGISTRY/v2/"
    return Finding(
        id="ID",
        node="NODE",
        image="REGISTRY/IMAGE:1",
        registry="REGISTRY",
        diagnosis=Diagnosis(
            cause,
            Stage.MANIFEST,
            Confidence.PROVED,
            Retryable(Answer.NO, "nothing changes by itself"),
            "the registry has no such tag, and three others that look like it",
            RemedyRef("right-tag", {"image": "REGISTRY/IMAGE"}),
            evidence=tuple(Evidence(Stage.MANIFEST, f"HEAD {target} was answered 404 {i}", "walk") for i in range(6)),
        ),
        first_seen=NOW - MONTH,
        last_seen=NOW,
        state=State.RECOVERED,
        pods=tuple(FailingPod("ns", f"pod-{i}", "u" * 36, "main", "ReplicaSet/web") for i in range(2)),
        trace=tuple(
            TraceLine(stage, target, Outcome.PASSED, 0.01, "192.0.2.1:443", "anonymous") for stage in list(Stage)[:10]
        ),
    )


def _node(number: int) -> str:
    return f"node-{number:05}"


def _registry(image: int) -> str:
    return f"registry-{image % REGISTRIES}.example"


def _image(number: int) -> str:
    return f"{_registry(number)}/team-{number % NAMESPACES}/app-{number}:1"


FACTS: Final = NodeFacts(
    zone="z1",
    pool="workers",
    runtime_name="containerd",
    runtime_version="2.1.4",
    kubelet_version="v1.34.0",
    abilities=("walk", "permit"),
    labels={"topology.kubernetes.io/zone": "z1"},
    configuration={f"registry-{i}.example: ca": "none" for i in range(REGISTRIES)},
)
