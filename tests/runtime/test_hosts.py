"""What containerd contacts, file by file. The expectations were recorded from containerd 1.6.20, 1.7.24 and 2.1.9 themselves."""

import pytest
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
    Tree,
    facts,
    look,
    pem,
    shown,
)

from pullwhy.runtime.containerd.hosts import default_endpoint

M1, M2, M3 = (f"http m{number}.example:5000/v2" for number in (1, 2, 3))


LOST = [OWN]
ORDERED = """\
server = "http://m3.example:5000"
[host."http://m2.example:5000"]
[host."http://m1.example:5000"]
[host."http://m2.example:5000".header]
X-A = "1"
"""
PATHS = """\
server = "http://m3.example:5000/x/v2/"
[host."http://m2.example:5000/"]
[host."http://m1.example:5000/p//q"]
override_path = true
"""


@pytest.mark.parametrize(
    ("text", "old", "new"),
    [
        ('server = "http://m1.example:5000"\n', LOST, [M1]),
        ("# nothing\n", LOST, [OWN]),
        (M2_THEN, [M2, M3], [M2, M3]),
        (M2_THEN.replace("\n", "\r\n"), [M2, M3], [M2, M3]),
        ("\ufeff" + M2_THEN, [M2, M3], LOST),
        ('Server = "http://m1.example:5000"\n[host."http://m2.example:5000"]\n', [M2, OWN], [M2, M1]),
        ('[HOST."http://m2.example:5000"]\n', LOST, [OWN]),
        ('[HOST."http://m2.example:5000"]\nskip_verify = "x"\n' + M2_THEN.partition("\n")[2], [M2, OWN], LOST),
        ('host = {"http://m2.example:5000" = {skip_verify = "x"}}\n', LOST, LOST),
        (ORDERED, [M2, M1, M3], [M2, M1, M2, M3]),
        ('server="http://m3.example:5000"\nhost = {"http://m2.example:5000" = {}}\n', [M2, M3], [M3]),
        ('server="http://m3.example:5000"\nhost."http://m2.example:5000".override_path=false\n', [M2, M3], [M3]),
        (M2_THEN + 'capabilities = ["pull"]\n', [f"{M2} no-resolve", M3], [f"{M2} no-resolve", M3]),
        (M2_THEN + 'capabilities = ["PULL", "resolve", "push"]\n', [M2, M3], [M2, M3]),
        (M2_THEN + "capabilities = []\n", [M2, M3], [M2, M3]),
        (M2_THEN + 'capabilities = ["pull", "resolv"]\n', LOST, LOST),
        (M2_THEN + 'capabilities = ["pull", "resolve", "referrers"]\n', LOST, LOST),
        (M2_THEN + 'capabilities = "pull"\n', LOST, LOST),
        (M2_THEN + "capabilities = [1]\n", LOST, LOST),
        (M2_THEN + 'dial_timeout = "x"\n', [M2, M3], LOST),
        (M2_THEN + "dial_timeout = 10\n", [M2, M3], LOST),
        (M2_THEN + "ca = 3\n", LOST, LOST),
        (M2_THEN + 'skip_verify = "true"\n', LOST, LOST),
        (M2_THEN + "header = {X-A = 1}\n", LOST, LOST),
        (M2_THEN + "client = 3\n", LOST, LOST),
        (M2_THEN + 'client = [["a", "b", "c"]]\n', LOST, LOST),
        ("server = 3\n" + '[host."http://m2.example:5000"]\n', LOST, LOST),
        ('server="http://m3.example:5000"\n[[host."http://m2.example:5000"]]\n', LOST, LOST),
        (M2_THEN + '[host."http://m2.example:5000"]\n', LOST, LOST),
        ('server="http://m3.example:5000"\n[host."http://m2 .example:5000"]\n', LOST, LOST),
        ('server="http://m3.example:5000"\n[host."http://m2.example:5o"]\n', LOST, LOST),
        ('capabilities=["push"]\n[host."http://m2.example:5000"]\n', [M2, OWN], [M2, OWN]),
        (
            'server="http://m3.example:5000"\ncapabilities=["push"]\n[host."http://m2.example:5000"]\n',
            [M2, f"{M3} no-resolve no-pull"],
            [M2, f"{M3} no-resolve no-pull"],
        ),
        (
            PATHS,
            [M2, "http m1.example:5000/p/q", "http m3.example:5000/x/v2"],
            [M2, "http m1.example:5000/p/q", "http m3.example:5000/x/v2"],
        ),
        (
            M2_THEN.replace("\n[", "\noverride_path=true\n[") + "override_path=true\n",
            ["http m2.example:5000", "http m3.example:5000"],
            ["http m2.example:5000", "http m3.example:5000"],
        ),
        ('server="http://m3.example:5000?x=1"\n[host."http://u:p@m2.example:5000#f"]\n', [M2, M3], [M2, M3]),
        (
            'server="http://m3.example:5000"\n[host."m2.example:5001"]\n',
            ["https m2.example:5001/v2", M3],
            ["https m2.example:5001/v2", M3],
        ),
        ('server="http://m3.example:5000"\n[host."httpm2.example"]\n', [M3], [M3]),
        ('server="http://m3.example:5000"\n[host."httpx://m2.example:5000"]\n', [M3], [M3]),
    ],
)
def test_hosts_toml_reads_as_in_containerd(tree: Tree, text: str, old: list[str], new: list[str]) -> None:
    fs = tree({f"{ROOT}/reg.example/hosts.toml": text})
    for version, expected in ((V16, old), (V17, old), (V21, new)):
        assert [shown(endpoint) for endpoint in look(fs, version=version).endpoints] == expected


@pytest.mark.parametrize(
    ("url", "extra", "v16", "v17"),
    [
        (
            "http://m2.example",
            "skip_verify=true",
            "http m2.example:80/v2 insecure",
            "https m2.example:443/v2 fallback insecure",
        ),
        ("http://m2.example:5001", "skip_verify=false", "http m2.example:5001/v2", "https m2.example:5001/v2 fallback"),
        ("http://m2.example:80", "skip_verify=false", "http m2.example:80/v2", "http m2.example:80/v2"),
        ("http://m2.example:5001", "ca=[]", "http m2.example:5001/v2", "https m2.example:5001/v2 fallback"),
        ("http://m2.example:5001", "client=[]", "http m2.example:5001/v2", "http m2.example:5001/v2"),
        (
            "https://m2.example",
            "skip_verify=true",
            "https m2.example:443/v2 insecure",
            "https m2.example:443/v2 insecure",
        ),
    ],
)
def test_tls_settings_on_http_hosts_try_https_first(tree: Tree, url: str, extra: str, v16: str, v17: str) -> None:
    fs = tree({f"{ROOT}/reg.example/hosts.toml": f'[host."{url}"]\n{extra}\n'})
    for version, expected in ((V16, v16), (V17, v17), (V21, v17)):
        assert shown(look(fs, version=version).endpoints[0]) == expected


@pytest.mark.parametrize(
    ("registry", "v16", "v17"),
    [
        ("docker.io", "https registry-1.docker.io:443/v2", "https registry-1.docker.io:443/v2"),
        ("reg.example:5000", "https reg.example:5000/v2", "https reg.example:5000/v2"),
        ("10.0.0.1", "https 10.0.0.1:443/v2", "https 10.0.0.1:443/v2"),
        ("localhost", "http localhost:80/v2", "https localhost:443/v2 insecure"),
        ("localhost:443", "http localhost:443/v2", "https localhost:443/v2 insecure"),
        ("localhost:80", "http localhost:80/v2", "http localhost:80/v2"),
        ("localhost:5000", "http localhost:5000/v2", "https localhost:5000/v2 fallback insecure"),
        ("127.0.0.1:8080", "http 127.0.0.1:8080/v2", "https 127.0.0.1:8080/v2 fallback insecure"),
        ("[::1]:5000", "http ::1:5000/v2", "https ::1:5000/v2 fallback insecure"),
    ],
)
def test_a_registry_has_a_default_endpoint(registry: str, v16: str, v17: str) -> None:
    for version, expected in ((V16, v16), (V17, v17), (V21, v17)):
        endpoint = default_endpoint(registry, version)
        assert shown(endpoint) == expected
        assert not endpoint.is_mirror
        assert endpoint.source == "default"


@pytest.mark.parametrize(
    ("url", "authority"),
    [
        ("https://m2.example", "m2.example"),
        ("https://m2.example:443", "m2.example:443"),
        ("http://m2.example:80", "m2.example:80"),
    ],
)
def test_requests_name_a_port_that_is_written_out(tree: Tree, url: str, authority: str) -> None:
    fs = tree({f"{ROOT}/reg.example/hosts.toml": f'[host."{url}"]\n'})
    assert look(fs).endpoints[0].authority == authority
    assert default_endpoint("reg.example:443", V21).authority == "reg.example:443"


@pytest.mark.parametrize(
    ("text", "old", "new"),
    [
        ('[host."http://[::1]:5000"]\n' + M2_THEN.partition("\n")[2], LOST, ["http ::1:5000/v2", M2, OWN]),
        ('[[host."http://[::1]:5000"]]\n', LOST, LOST),
        ('SERVER = "http://m1.example:5000"\n[host."http://m2.example:5000"]\n', [M2, M1], [M2, M1]),
        (M2_THEN + "SKIP_VERIFY = 3\n", LOST, LOST),
        (M2_THEN + "Skip_Verify = 3\n", [M2, M3], LOST),
    ],
)
def test_go_toml_1_differs_from_go_toml_2(tree: Tree, text: str, old: list[str], new: list[str]) -> None:
    fs = tree({f"{ROOT}/reg.example/hosts.toml": text})
    for version, expected in ((V16, old), (V17, old), (V21, new)):
        assert [shown(endpoint) for endpoint in look(fs, version=version).endpoints] == expected


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('[host."http://m1.example:5000"]\n[[host."http://m2.example:5000"]]\n', 2),
        ('[host]\n"http://m1.example:5000" = 1\n"http://m2.example:5000" = 2\n', 2),
    ],
)
def test_containerd_1_crashes_on_several_hosts_that_are_no_tables(tree: Tree, text: str, line: int) -> None:
    fs = tree({f"{ROOT}/reg.example/hosts.toml": text})
    hosts = look(fs, version=V17)
    assert hosts.endpoints == ()
    assert (facts(hosts).decides, facts(hosts).line) == (True, line)
    assert "crashes" in facts(hosts).why
    assert [shown(endpoint) for endpoint in look(fs).endpoints] == LOST


@pytest.mark.parametrize(
    ("registry", "directories", "first"),
    [
        ("reg.example:5000", {"reg.example_5000_": HOST_M2, "reg.example:5000": HOST_M1, "_default": HOST_M1}, M2),
        ("reg.example:5000", {"reg.example:5000": HOST_M2, "_default": HOST_M1}, M2),
        ("reg.example:5000", {"_default": HOST_M2, "reg.example": HOST_M1}, M2),
        ("reg.example:5000", {"reg.example": HOST_M1}, "https reg.example:5000/v2"),
        ("reg.example", {"reg.example:443": HOST_M1}, OWN),
        ("docker.io", {"docker.io": HOST_M2, "registry-1.docker.io": HOST_M1}, M2),
        ("docker.io", {"registry-1.docker.io": HOST_M1}, "https registry-1.docker.io:443/v2"),
    ],
)
def test_the_first_existing_directory_name_decides(
    tree: Tree, registry: str, directories: dict[str, str], first: str
) -> None:
    fs = tree({f"{ROOT}/{name}/hosts.toml": text for name, text in directories.items()})
    assert shown(look(fs, registry).endpoints[0]) == first


def test_an_empty_directory_decides_too(tree: Tree) -> None:
    fs = tree({f"{ROOT}/reg.example": None, f"{ROOT}/_default/hosts.toml": HOST_M2})
    assert [shown(endpoint) for endpoint in look(fs).endpoints] == [OWN]


def test_roots_are_tried_in_order_and_never_merged(tree: Tree) -> None:
    fs = tree({"/a/_default/hosts.toml": HOST_M1, "/b/reg.example/hosts.toml": HOST_M2})
    assert [shown(endpoint) for endpoint in look(fs, roots=("/a", "/b")).endpoints] == [M1, OWN]
    assert [shown(endpoint) for endpoint in look(fs, roots=("/c", "/b")).endpoints] == [M2, OWN]


def test_mirrors_are_told_from_the_registry_itself(tree: Tree) -> None:
    text = 'server = "https://reg.example"\n[host."https://reg.example:443"]\n[host."https://m.example"]\n'
    endpoints = look(tree({f"{ROOT}/reg.example/hosts.toml": text})).endpoints
    assert [endpoint.is_mirror for endpoint in endpoints] == [True, True, False]
    hub = look(
        tree({f"{ROOT}/docker.io/hosts.toml": 'server = "https://registry-1.docker.io"\n'}), "docker.io"
    ).endpoints
    assert [endpoint.is_mirror for endpoint in hub] == [False]


def test_endpoints_name_their_line(tree: Tree) -> None:
    path = f"{ROOT}/reg.example/hosts.toml"
    endpoints = look(tree({path: ORDERED})).endpoints
    assert [endpoint.source for endpoint in endpoints] == [f"{path}:2", f"{path}:3", f"{path}:2", f"{path}:1"]


def test_per_host_settings_reach_the_endpoint(tree: Tree) -> None:
    text = """\
[host."https://m2.example"]
ca = ["ca.crt", "/etc/other.crt"]
client = [["c.cert", "c.key"], "both.pem"]
dial_timeout = "1m30s"
[host."https://m2.example".header]
X-One = "canary-1"
X-Many = ["canary-2", "canary-3"]
"""
    folder = f"{ROOT}/reg.example"
    fs = tree(
        {
            f"{folder}/hosts.toml": text,
            f"{folder}/ca.crt": "junk\n" + pem(filling=b"1"),
            "/etc/other.crt": pem(filling=b"2") + pem(filling=b"3"),
            f"{folder}/c.cert": ONE.certificate,
            f"{folder}/c.key": ONE.key.reveal(),
            f"{folder}/both.pem": TWO.key.reveal() + TWO.certificate,
        }
    )
    endpoint = look(fs).endpoints[0]
    assert endpoint.ca == (pem(filling=b"1"), pem(filling=b"2") + pem(filling=b"3"))
    assert endpoint.client == (ONE, TWO)
    assert endpoint.dial_timeout == 90
    headers = [(name, value.reveal()) for name, value in endpoint.headers]
    assert headers == [("X-One", "canary-1"), ("X-Many", "canary-2"), ("X-Many", "canary-3")]
    assert "canary" not in repr(endpoint)
    assert ONE.key.reveal().splitlines()[1] not in repr(endpoint)
    assert look(fs, version=V17).endpoints[0].dial_timeout is None


def test_certificate_files_count_where_there_is_no_hosts_toml(tree: Tree) -> None:
    folder = f"{ROOT}/reg.example"
    files = {
        f"{folder}/a.crt": pem(filling=b"1"),
        f"{folder}/b.cert": ONE.certificate,
        f"{folder}/b.key": ONE.key.reveal(),
        f"{folder}/deeper/c.crt": pem(filling=b"3"),
        f"{folder}/readme": "x",
    }
    for extra in ({}, {f"{folder}/hosts.toml": ""}):
        (endpoint,) = look(tree({**files, **extra})).endpoints
        assert endpoint.ca == (pem(filling=b"1"),)
        assert endpoint.client == (ONE,)
        assert endpoint.source == folder
