"""Questions are checked: what is unknown or wrong is named, with what may be asked."""

from datetime import UTC, datetime, timedelta

import pytest
from collector.samples import NOW

from pullwhy.collector import params
from pullwhy.collector.params import BadParameter

FILTERS = (
    "cluster", "namespace", "pod", "id", "node", "image", "registry", "cause", "state", "since", "limit", "cursor",
)  # fmt: skip
EVER = datetime.min.replace(tzinfo=UTC)


def test_every_filter_reaches_the_query() -> None:
    asked = {
        "cluster": "blue", "namespace": "shop", "pod": "web-1", "node": "n", "image": "web:1.4", "registry": "docker.io",
        "cause": "tagnotfound", "state": "ACTIVE", "since": "2h", "limit": "7", "cursor": "-5.9",
    }  # fmt: skip
    query = params.query(asked, NOW)
    assert (query.cluster, query.namespace, query.pod, query.node, query.registry) == (
        "blue",
        "shop",
        "web-1",
        "n",
        "docker.io",
    )
    assert (query.image, query.repository) == ("docker.io/library/web:1.4", "docker.io/library/web")
    assert (query.cause, query.state, query.limit, query.after) == ("TagNotFound", "Active", 7, (-5, 9))
    assert query.since == NOW - timedelta(hours=2)


DIGEST = "sha256:" + "0" * 64


@pytest.mark.parametrize(
    ("text", "image", "repository"),
    [
        ("nginx", "", "docker.io/library/nginx"),
        ("nginx:latest", "docker.io/library/nginx:latest", "docker.io/library/nginx"),
        ("registry.example/a/b:1", "registry.example/a/b:1", "registry.example/a/b"),
        (f"registry.example/a/b:1@{DIGEST}", f"registry.example/a/b@{DIGEST}", "registry.example/a/b"),
        (f"registry.example/a/b@{DIGEST}", f"registry.example/a/b@{DIGEST}", "registry.example/a/b"),
        ("Registry.example/A:1", "Registry.example/A:1", "Registry.example/A:1"),
    ],
)
def test_an_image_without_a_tag_asks_for_every_tag(text: str, image: str, repository: str) -> None:
    query = params.query({"image": text}, NOW)
    assert (query.image, query.repository) == (image, repository)


@pytest.mark.parametrize(
    ("text", "when"),
    [
        ("30s", NOW - timedelta(seconds=30)),
        ("10m", NOW - timedelta(minutes=10)),
        ("7d", NOW - timedelta(days=7)),
        ("1w", NOW - timedelta(weeks=1)),
        ("2025-11-22T10:00:00Z", datetime(2025, 11, 22, 10, tzinfo=UTC)),
        ("2025-11-22T12:00:00.5+02:00", datetime(2025, 11, 22, 10, 0, 0, 500_000, tzinfo=UTC)),
        ("2025-11-22", datetime(2025, 11, 22, tzinfo=UTC)),
        ("2016-12-31T23:59:60Z", datetime(2016, 12, 31, 23, 59, 59, tzinfo=UTC)),
        ("999999w", EVER),
        ("0000-02-29T00:00:00Z", EVER),
        ("0001-01-01T00:00:00+23:00", EVER),
        ("9999-12-31T23:59:59-23:00", datetime.max.replace(tzinfo=UTC)),
    ],
)
def test_since_is_how_long_ago_or_a_time(text: str, when: datetime) -> None:
    assert params.since(text, NOW) == when


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("namspace", "x", "unknown parameter 'namspace'; known here: cluster, namespace"),
        ("evil\x1b[2J", "x", "unknown parameter 'evil\\\\x1b[2J'"),
        ("cause", "TagNotFond", "did you mean TagNotFound?"),
        ("cause", "\x1b[2J", "is unknown; the nearest are "),
        ("state", "Broken", "known: Active, Recovered, Gone, Superseded"),
        ("id", "abc", "must be 4 to 16 characters of an id"),
        ("id", "%%%%", "must be 4 to 16 characters of an id"),
        ("since", "yesterday", "since=yesterday is no time: write how long ago"),
        ("since", "2025-02-30T00:00:00Z", "is no time"),
        ("since", "0000-13-01T00:00:00Z", "is no time"),
        ("cause", "", "cause is empty or has a NUL"),
        ("node", "a\0", "node is empty or has a NUL"),
        ("limit", "0", "from 1 to 500"),
        ("limit", "501", "from 1 to 500"),
        ("limit", "-1", "from 1 to 500"),
        ("limit", "٣", "from 1 to 500"),
        ("limit", "9" * 400, "from 1 to 500"),
        ("limit", "00000000599999", "from 1 to 500"),
        ("cursor", "1", "begin again without it"),
        ("cursor", f"1.{10**18}", "begin again without it"),
        ("node", "n" * 513, "node has 513 characters, more than 512"),
    ],
)
def test_a_wrong_parameter_is_named(name: str, value: str, told: str) -> None:
    with pytest.raises(BadParameter) as error:
        params.query(params.check([(name, value)], FILTERS), NOW)
    assert told.replace("\\\\", "\\") in str(error.value)


def test_a_parameter_is_given_once() -> None:
    with pytest.raises(BadParameter, match="node is given twice"):
        params.check([("node", "a"), ("node", "b")], FILTERS)


def test_cursors_come_back_as_they_went() -> None:
    assert params.query({"cursor": params.cursor((-3, 8))}, NOW).after == (-3, 8)
    assert params.node_position(params.node_cursor("blue", "nöde")) == ("blue", "nöde")
    assert params.node_position("") is None


@pytest.mark.parametrize("text", ["a", "6.61", "61", "zz.", ".\x00", "." + "61" * 1013])
def test_a_made_up_node_cursor_is_refused(text: str) -> None:
    with pytest.raises(BadParameter):
        params.node_position(text)
