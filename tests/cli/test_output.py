"""What commands print: tables that fit, JSON and YAML that programs read, nothing that steers a terminal."""

import io
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import yaml

from pullwhy.cli.output import Screen, age, cells, print_findings, screen, shorten, to_json

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
HOSTILE = "evil\x1b[2J\u202ename\x07\x7f"


def finding(**changed: Any) -> dict[str, Any]:
    return {
        "schema": "pullwhy/v1", "id": "0123456789abcdef", "cluster": "", "node": "node-a",
        "image": "registry.example/shop/web:1.4", "cause": "CertificateUntrusted", "via": None, "stage": "TLS",
        "confidence": "Proved", "retryable": {"answer": "no", "why": "the CA stays unknown"}, "summary": "no CA",
        "pods": [{"namespace": "shop", "name": "web-1"}, {"namespace": "shop", "name": "web-2"}],
        "kubelet": {"next_retry_at": "2026-11-22T12:00:30Z"}, "count": 4, "state": "Active",
        "first_seen": "2026-11-22T09:00:00Z", "last_seen": "2026-11-22T11:59:48Z",
    } | changed  # fmt: skip


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def to(width: int | None = None, *, colour: bool = False) -> Screen:
    return Screen(io.StringIO(), io.StringIO(), width, colour, NOW)


def printed(target: Screen) -> str:
    assert isinstance(target.out, io.StringIO)
    return target.out.getvalue()


def test_table_is_aligned_and_shows_what_an_on_call_person_asks() -> None:
    target = to()
    print_findings([finding(), finding(node="a-much-longer-node", cause="TagNotFound")], "table", target)
    assert printed(target).splitlines() == [
        "NODE                IMAGE                          CAUSE                 STAGE  CONFIDENCE  PODS  RETRY  LAST SEEN",
        "node-a              registry.example/shop/web:1.4  CertificateUntrusted  TLS    Proved      2     no     12s ago",
        "a-much-longer-node  registry.example/shop/web:1.4  TagNotFound           TLS    Proved      2     no     12s ago",
    ]


@pytest.mark.parametrize("state", ["Active", "Recovered"])
@pytest.mark.parametrize(
    ("output", "states", "shown"), [("table", False, False), ("table", True, True), ("wide", False, True)]
)
def test_state_shows_where_it_was_asked_for_whatever_it_is(
    output: str, state: str, *, states: bool, shown: bool
) -> None:
    target = to()
    print_findings([finding(state=state)], output, target, states=states)
    assert ("STATE" in printed(target)) is shown


def test_via_stands_beside_the_cause() -> None:
    target = to()
    print_findings([finding(), finding(cause="DNSNameNotFound", via="BlobHost")], "table", target)
    assert "DNSNameNotFound via BlobHost  TLS" in printed(target)
    assert "VIA" not in printed(target)


@pytest.mark.parametrize(
    ("width", "titles"),
    [
        (104, "NODE IMAGE CAUSE STAGE CONFIDENCE PODS RETRY LAST SEEN"),
        (97, "NODE IMAGE CAUSE STAGE CONFIDENCE PODS LAST SEEN"),
        (85, "NODE IMAGE CAUSE STAGE PODS LAST SEEN"),
        (78, "NODE IMAGE CAUSE PODS LAST SEEN"),
    ],
)
def test_other_columns_make_room_before_an_image_is_cut(width: int, titles: str) -> None:
    target = to(width)
    print_findings([finding(node="a-much-longer-node")], "table", target)
    header, row = printed(target).splitlines()
    assert header.split() == titles.split()
    assert "registry.example/shop/web:1.4" in row
    assert cells(row) <= width


@pytest.mark.parametrize(("at", "told"), [("2026-11-22T12:00:30Z", "in 30s"), ("2026-11-22T11:56:00Z", "due")])
def test_a_next_try_whose_time_is_over_is_due(at: str, told: str) -> None:
    target = to()
    print_findings([finding(kubelet={"next_retry_at": at}, last_seen="", first_seen="")], "wide", target)
    header, row = printed(target).splitlines()
    assert row[header.index("NEXT TRY") :].startswith(told + " ")


def test_wide_names_pods_id_and_summary() -> None:
    target = to(40)
    print_findings([finding()], "wide", target)
    for text in ("shop/web-1,shop/web-2", "0123456789abcdef", "no CA", "in 30s", "registry.example/shop/web:1.4"):
        assert text in printed(target)


def test_wide_bounds_the_pods_it_names() -> None:
    target = to()
    print_findings([finding(pods=[{"namespace": "n", "name": f"p{i}"} for i in range(13)])], "wide", target)
    assert "n/p9 +3" in printed(target)


@pytest.mark.parametrize("width", [80, 100, 120])
def test_table_fits_the_terminal(width: int) -> None:
    target = to(width)
    long = finding(image="registry.example/" + "deep/" * 30 + "web:1.4", node="n" * 60)
    print_findings([long], "table", target)
    header, row = printed(target).splitlines()
    assert max(len(header), cells(row)) <= width
    assert "…" in row
    assert "web:1.4" in row


def test_nothing_is_cut_where_the_output_is_no_terminal() -> None:
    target = to(None)
    print_findings([finding(image="registry.example/" + "deep/" * 60 + "web:1.4")], "table", target)
    assert "deep/" * 60 in printed(target)


@pytest.mark.parametrize("output", ["table", "wide", "json", "yaml"])
def test_no_hostile_character_reaches_the_output(output: str) -> None:
    target = to()
    print_findings([finding(image=HOSTILE, node=HOSTILE, summary=HOSTILE)], output, target)
    assert not set(printed(target)) & {"\x1b", "\u202e", "\x07", "\x7f"}


def test_json_and_yaml_keep_every_value() -> None:
    documents = [finding(image=HOSTILE, summary="größer 🐳")]
    for output, read in (("json", json.loads), ("yaml", yaml.safe_load)):
        target = to()
        print_findings(documents, output, target)
        assert read(printed(target)) == documents


@pytest.mark.parametrize(("output", "text"), [("json", "[]\n"), ("yaml", "[]\n"), ("table", ""), ("wide", "")])
def test_no_finding_is_an_empty_array_or_a_sentence_on_the_error_stream(output: str, text: str) -> None:
    target = to()
    print_findings([], output, target, empty="No findings here.")
    assert printed(target) == text
    assert isinstance(target.errors, io.StringIO)
    assert target.errors.getvalue() == ("" if text else "No findings here.\n")


@pytest.mark.parametrize(
    ("out", "environ", "colour"),
    [
        (Terminal(), {"TERM": "xterm"}, True),
        (Terminal(), {"TERM": "xterm", "NO_COLOR": "1"}, False),
        (Terminal(), {"TERM": "xterm", "NO_COLOR": ""}, True),
        (Terminal(), {"TERM": "dumb"}, False),
        (Terminal(), {}, False),
        (io.StringIO(), {"TERM": "xterm"}, False),
    ],
)
def test_colour_only_on_a_terminal_that_wants_it(out: io.StringIO, environ: dict[str, str], *, colour: bool) -> None:
    target = screen(out, environ, NOW)
    assert target.colour is colour
    print_findings([finding()], "table", target)
    assert ("\x1b[31m" in out.getvalue()) is colour


def test_width_is_the_terminals_or_what_COLUMNS_says() -> None:  # noqa: N802 - the variable's name
    assert screen(Terminal(), {"COLUMNS": "132"}).width == 132
    assert screen(Terminal(), {"COLUMNS": "wide"}).width == 80
    assert screen(io.StringIO(), {"COLUMNS": "132"}).width is None


def test_colour_does_not_move_columns() -> None:
    plain, coloured = to(90), to(90, colour=True)
    for target in (plain, coloured):
        print_findings([finding()], "table", target)
    stripped = printed(coloured)
    for code in ("0", "1", "31"):
        stripped = stripped.replace(f"\x1b[{code}m", "")
    assert stripped == printed(plain)


@pytest.mark.parametrize(
    ("text", "width", "short"),
    [
        ("short", 5, "short"),
        ("registry.example/shop/web:1.4", 20, "regist…/shop/web:1.4"),
        ("漢字漢字漢字", 7, "漢…漢字"),
    ],
)
def test_shorten_keeps_both_ends(text: str, width: int, short: str) -> None:
    assert shorten(text, width) == short
    assert cells(shorten(text, width)) <= width


@pytest.mark.parametrize(
    ("ago", "text"),
    [
        (0, "0s ago"),
        (59, "59s ago"),
        (180, "3m ago"),
        (7_300, "2h ago"),
        (172_900, "2d ago"),
        (-30, "in 30s"),
        (-4 * 3_600 + 1, "in 4h"),
        (-2 * 86_400 - 1, "in 2d"),
        (-121, "in 2m"),
        (-0.5, "0s ago"),
    ],
)
def test_age_in_one_unit(ago: float, text: str) -> None:
    assert age(NOW - timedelta(seconds=ago), NOW) == text


def test_output_survives_an_ascii_terminal() -> None:
    raw = io.BytesIO()
    out = io.TextIOWrapper(raw, encoding="ascii")
    print_findings([finding(image="i" * 200)], "table", Screen(out, out, 80, colour=False, now=NOW))
    assert b"\\u2026" in raw.getvalue()


def test_json_is_ascii() -> None:
    assert to_json("\x7f\u2028é").isascii()
