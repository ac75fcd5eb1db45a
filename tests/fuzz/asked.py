"""What a collector sends to an agent: requests to walk, and what another node is said to have proved."""

import asyncio
from typing import Final

from google.protobuf.message import DecodeError
from node.asked import Node
from node.fakes import IMAGE, START
from node.test_permits import OTHER

from fuzz.target import Target
from pullwhy.diagnose.document.finding import encode
from pullwhy.node.investigate.permits import MAX_FACT, read
from pullwhy.pb.v1 import report_pb2 as pb


def collector_message(data: bytes) -> None:
    """Take a message as an agent does; whatever it asks is answered at most once, and short."""
    try:
        message = pb.CollectorMessage.FromString(data)
    except DecodeError:
        return
    adopted = read(message.permit.document, "node-a")
    if adopted is not None:
        assert all(
            text.isprintable() and len(text) <= MAX_FACT for text in (adopted.node, adopted.summary, *adopted.facts)
        )
    asyncio.run(_asked(message.walk))


async def _asked(request: pb.WalkRequest) -> None:
    node = Node()
    answers: list[pb.WalkAnswer] = []
    node.limits = START  # no walk is made
    requests = node.requests()
    requests.take(request, answers.append)
    requests.cancel(request.id)
    requests.lost()
    await asyncio.sleep(0)
    assert len(answers) <= 1
    assert all(answer.reason.isprintable() and len(answer.reason) <= 500 for answer in answers)
    assert node.walks == []


TARGETS: Final = (
    Target(
        "collector-message",
        collector_message,
        (
            pb.CollectorMessage(walk=pb.WalkRequest(id="w1", image=IMAGE, deadline_ms=5000)).SerializeToString(),
            pb.CollectorMessage(permit=pb.Permit(id="p1", wait_ms=500, document=encode(OTHER))).SerializeToString(),
        ),
        (b"\x1a\x02", b"\x2a\x0c", b"\xff\xff\xff\xff\x0f", b'{"diagnosis":'),
    ),
)
