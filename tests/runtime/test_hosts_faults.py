"""What of certs.d is broken, left out or cut, and what then happens to a pull."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from runtime.lookups import (
    HOST_M1,
    HOST_M2,
    M2_THEN,
    ONE,
    OWN,
    ROOT,
    TWO,
    V16,
    V17,
    V21,
    V22,
    Tree,
    facts,
    look,
    pem,
    shown,
)

from pullwhy.runtime.containerd.hosts import MAX_HOSTS
from pullwhy.runtime.containerd.hostsfile import InvalidHostsFile, parse_hosts_file
from pullwhy.runtime.versions import Version
from pullwhy.trace import ConfigFault


def test_a_broken_hosts_toml_falls_back_to_certificate_files_and_says_so(tree: Tree) -> None:
    path = f"{ROOT}/reg.example/hosts.toml"
    hosts = look(tree({path: 'server = "https://x"\n[host."https://m"\n', f"{ROOT}/reg.example/a.crt": pem()}))
    assert [shown(endpoint) for endpoint in hosts.endpoints] == [OWN]
    assert hosts.endpoints[0].ca == (pem(),)
    fault = facts(hosts)
    assert (fault.fault, fault.file, fault.line, fault.decides) == (ConfigFault.INVALID, path, 2, False)


@pytest.mark.parametrize(
    ("text", "line", "why"),
    [
        (M2_THEN + 'capabilities = ["pull", "resolv"]\n', 3, "unknown capability 'resolv'"),
        (M2_THEN + "ca = 3\n", 3, "`ca` is neither"),
        (M2_THEN + 'skip_verify = "x"\n', 3, "`skip_verify` is neither"),
        ("server = 3\n" + HOST_M1, 1, "`server` is no text"),
        ('\n[host."http://m2 .example"]\n', 2, "'http://m2 .example' is no address"),
        ('\n[host."http://u:canary@m2.example:x"]\n', 2, "invalid port"),
        ("host = 3\n", None, "`host` is no table"),
    ],
)
def test_faults_of_hosts_toml_name_line_and_mend(text: str, line: int | None, why: str) -> None:
    with pytest.raises(InvalidHostsFile) as raised:
        parse_hosts_file(text.encode(), "/d", V21)
    assert raised.value.line == line
    assert why in raised.value.why
    assert raised.value.mend
    assert "canary" not in raised.value.why


def test_referrers_is_a_capability_of_newer_releases() -> None:
    text = b'[host."https://m"]\ncapabilities = ["pull", "resolve", "referrers"]\n'
    assert len(parse_hosts_file(text, "/d", V22)) == 2


@pytest.mark.parametrize(
    ("files", "file", "why"),
    [
        ({"reg.example/hosts.toml": HOST_M2 + 'ca = "no.crt"\n'}, "reg.example/no.crt", "no such file"),
        (
            {"reg.example/hosts.toml": HOST_M2 + 'ca = "a.crt"\n', "reg.example/a.crt": "x"},
            "reg.example/a.crt",
            "no certificate",
        ),
        ({"reg.example/hosts.toml": '[host."httpm2"]\nca = "no.crt"\n'}, "reg.example/no.crt", "no such file"),
        ({"reg.example/a.crt": pem(filling=b"ab")}, "reg.example/a.crt", "no certificate"),
        ({"reg.example/a.cert": pem()}, "reg.example/a.cert", "no private key"),
        ({"reg.example/a.cert": "x", "reg.example/a.key": pem("PRIVATE KEY")}, "reg.example/a.cert", "no certificate"),
        (
            {"reg.example/a.cert": ONE.certificate, "reg.example/a.key": TWO.key.reveal()},
            "reg.example/a.key",
            "do not match",
        ),
        ({"reg.example/a.cert": pem() + pem("PRIVATE KEY")}, "reg.example/a.cert", "cannot be used"),
        ({"reg.example/hosts.toml": None}, "reg.example/hosts.toml", "it is a directory"),
        ({"reg.example": "x"}, "reg.example/hosts.toml", "no directory"),
        ({"": "x"}, "reg.example", "no directory"),
    ],
)
def test_files_that_fail_every_pull_decide(tree: Tree, files: dict[str, str | None], file: str, why: str) -> None:
    hosts = look(tree({f"{ROOT}/{name}".rstrip("/"): content for name, content in files.items()}))
    assert hosts.endpoints == ()
    fault = facts(hosts)
    assert (fault.fault, fault.file, fault.decides) == (ConfigFault.INVALID, f"{ROOT}/{file}", True)
    assert why in fault.why
    assert fault.mend


@pytest.mark.parametrize(
    "text",
    [
        '[host."httpmirror.example"]\n',
        '[host."httpx://mirror.example"]\n',
        '[host."https://mirror.example:99999"]\n',
        '[host."https://mirror.example"]\ndial_timeout = "-1s"\n',
    ],
)
def test_a_host_that_cannot_be_asked_is_left_out_with_a_word(tree: Tree, text: str) -> None:
    path = f"{ROOT}/reg.example/hosts.toml"
    hosts = look(tree({path: text}))
    assert [shown(endpoint) for endpoint in hosts.endpoints] == [OWN]
    assert (facts(hosts).file, facts(hosts).line, facts(hosts).decides) == (path, 1, False)


def test_more_hosts_than_a_walk_can_ask_are_cut(tree: Tree) -> None:
    text = 'server = "https://last.example"\n' + "".join(f'[host."https://m{n}.example"]\n' for n in range(5000))
    hosts = look(tree({f"{ROOT}/reg.example/hosts.toml": text}))
    assert len(hosts.endpoints) == MAX_HOSTS
    assert [hosts.endpoints[n].host for n in (0, -1)] == ["m0.example", "last.example"]
    assert "only the first" in hosts.results[0].detail


TOML = st.one_of(
    st.binary(max_size=120),
    st.lists(
        st.sampled_from(
            [
                'server = "https://a"',
                'server = "http://%"',
                '[host."https://b"]',
                '[host."x y"]',
                "[host.c.header]",
                'capabilities = ["pull"]',
                "capabilities = [[]]",
                'ca = ["x", 1]',
                'client = [["a", "b"], "c"]',
                "client = [[]]",
                "skip_verify = 1",
                'dial_timeout = "1h2"',
                'X = ["a", "b"]',
                "host = []",
                "'''",
            ]
        ),
        max_size=8,
    ).map(lambda lines: "\n".join(lines).encode()),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300, deadline=None)
@given(data=TOML, version=st.sampled_from([V16, V17, V21, V22, Version()]))
def test_any_hosts_toml_gives_endpoints_or_says_why_not(tree: Tree, data: bytes, version: Version) -> None:
    hosts = look(tree({f"{ROOT}/reg.example/hosts.toml": data}), version=version)
    assert hosts.endpoints or any(result.config and result.config.decides for result in hosts.results)
