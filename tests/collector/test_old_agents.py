"""Agents of the first release still report: their bytes are written here by hand, with its field numbers and its keys alone."""

import asyncio
import json
from pathlib import Path
from typing import Any

import grpc.aio
import pytest
from collector.fleetstored import probe
from collector.samples import encoded, finding
from collector.wire import Stream, running

from pullwhy.collector.fleet import ProblemQuery
from pullwhy.collector.problem import problem_key
from pullwhy.collector.records import NodeFacts, Query
from pullwhy.diagnose.document.decoding import decode
from pullwhy.protocol import METHOD

WITHIN_SECONDS = 10.0


def field(number: int, value: int | str | bytes) -> bytes:
    """Return one field as protobuf writes it (protobuf.dev: Encoding)."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def varint(value: int) -> bytes:
    head = bytes([value & 0x7F | (0x80 if value > 0x7F else 0)])
    return head + varint(value >> 7) if value > 0x7F else head


STATUS = field(1, "zone-1") + field(3, "containerd") + field(4, "1.7.24") + field(7, 1) + field(9, "no journal")
HELLO = field(1, field(1, "node-a") + field(3, "0.1.0") + field(4, "pullwhy/v1") + field(5, "box") + field(6, STATUS))


def batch(sequence: int, document: bytes) -> bytes:
    observed = field(1, 1763812800)
    report = field(1, sequence) + field(2, finding(1).id) + field(3, observed) + field(4, document)
    return field(2, field(1, report))


def changed(**keys: Any) -> bytes:
    """Return a document with other keys; None leaves one out."""
    document = json.loads(encoded(1)) | keys
    return json.dumps({key: value for key, value in document.items() if value is not None}).encode()


@pytest.mark.parametrize(
    "document",
    [
        encoded(1),
        changed(invented={"by": "a later release"}, scope=None, trace=None, kubelet=None, reproduction=None),
        changed(count=None, state=None, cluster=None, zone=None, pool=None, pods=[], factors=None),
    ],
)
def test_what_the_first_release_sends_is_stored_and_acknowledged(tmp_path: Path, document: bytes) -> None:
    async def scenario() -> None:
        async with running(tmp_path) as served, grpc.aio.insecure_channel(served.address) as channel:
            stream: Stream = channel.stream_stream(METHOD)()
            async with asyncio.timeout(WITHIN_SECONDS):
                await stream.write(HELLO)
                assert (await stream.read())[:1] == field(1, b"")[
                    :1
                ]  # a Welcome, whatever a later collector adds to it
                await stream.write(batch(3, document))
                assert await stream.read() == field(2, field(1, 3))
            (stored,) = await served.store.findings(Query())
            assert stored.document == document
            (problem,) = await served.store.problems(ProblemQuery())
            assert problem.key == problem_key(decode(document))
            (node,) = await served.store.nodes("", "", 10, None)
            told = NodeFacts("zone-1", "", "containerd", "1.7.24", impairments=("no journal",))
            assert (node.agent_version, node.facts) == ("0.1.0", told)
            # It named no abilities: whatever is asked of its node, it is sent nothing that it does not know.
            await served.store.add_probe(probe(), ["node-a"])
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.5):
                    await stream.read()

    asyncio.run(scenario())
