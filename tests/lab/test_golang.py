"""How Go prints."""

import pytest

from lab.kubelet.golang import aggregate, container_dump, quote


@pytest.mark.parametrize(
    ("text", "quoted"),
    [
        ("plain", '"plain"'),
        ('say "a\\b"', r'"say \"a\\b\""'),
        ("a\nb\tc\r\a\b\f\v", r'"a\nb\tc\r\a\b\f\v"'),
        ("\x1b[0m\x00\x7f", r'"\x1b[0m\x00\x7f"'),
        ("Grüße, 世界", '"Grüße, 世界"'),
        ("\u202egnp\u00a0\U000e0001", r'"\u202egnp\u00a0\U000e0001"'),
        (b"\xff\xc3".decode("utf-8", "surrogateescape"), r'"\xff\xc3"'),
    ],
)
def test_quote_escapes_as_strconv_quote_does(text: str, quoted: str) -> None:
    assert quote(text) == quoted


def test_one_error_stands_alone_and_equal_errors_count_once() -> None:
    assert aggregate(["a", "a"]) == "a"
    assert aggregate(["a", "b", "a"]) == "[a, b]"


def test_a_dump_shows_the_values_of_the_environment() -> None:
    dump = container_dump("app", "reg.lab.test/a:1", "Always", {"PASSWORD": "canary"}, restart_policy=True)
    assert dump.startswith("&Container{Name:app,Image:reg.lab.test/a:1,Command:[],")
    assert "Env:[]EnvVar{EnvVar{Name:PASSWORD,Value:canary,ValueFrom:nil,},}," in dump
    assert dump.endswith("ResizePolicy:[]ContainerResizePolicy{},RestartPolicy:nil,}")
