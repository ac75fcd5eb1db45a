"""Waiting for changes: an event ends it, silence does not, and without a stream it is a sleep."""

import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from cli.answering import answering
from cli.test_query_faults import free_port

from pullwhy.cli.changes import Changes
from pullwhy.cli.client import Client


class Events(BaseHTTPRequestHandler):
    """Sends a comment, an event when `go` is set, and then ends."""

    go = threading.Event()

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.end_headers()
        self.wfile.write(b"retry: 2000\n\n: still here\n\n")
        self.go.wait(10)
        self.wfile.write(b"event: problems\ndata: {}\n\n")

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the library's name
        del format, args


@pytest.fixture
def telling() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Events) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        Events.go.set()
        server.shutdown()
        thread.join()


def waited(changes: Changes, seconds: float) -> float:
    began = time.monotonic()
    changes.wait(seconds)
    return time.monotonic() - began


def test_an_event_ends_the_wait_and_a_stream_that_ended_is_waited_out(telling: str) -> None:
    changes = Changes(Client(telling), "problems")
    assert waited(changes, 0.2) >= 0.2
    Events.go.set()
    assert waited(changes, 9.0) < 5.0
    assert waited(changes, 0.2) >= 0.2


def test_a_collector_that_tells_nothing_or_is_away_is_waited_for() -> None:
    with answering(404, b'{"error": "nothing here"}') as server:
        assert waited(Changes(Client(server), "problems"), 0.1) >= 0.1
    assert waited(Changes(Client(f"http://127.0.0.1:{free_port()}"), "problems"), 0.1) >= 0.1
