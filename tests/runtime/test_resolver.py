from collections.abc import Callable, Mapping

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pullwhy.model import Outcome
from pullwhy.plan import GoBuild, Resolver
from pullwhy.runtime.host.hostfs import HostFS
from pullwhy.runtime.host.resolver import RESOLVED, UPSTREAMS, ResolverView, read_resolver

Tree = Callable[[Mapping[str, str | bytes | None]], HostFS]
CONF = "/etc/resolv.conf"
LOOPBACK = ("127.0.0.1", "::1")


def read(tree: Tree, text: str, **more: str) -> ResolverView:
    return read_resolver(
        tree({CONF: text, **{f"/etc/{name}": content for name, content in more.items()}}), hostname="node"
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", Resolver(LOOPBACK)),
        ("nameserver 10.0.0.1\n", Resolver(("10.0.0.1",))),
        ("nameserver 10.0.0.1 # x\n;nameserver 10.0.0.2\n#nameserver 10.0.0.3\n", Resolver(("10.0.0.1",))),
        (
            "nameserver 10.0.0.1\nnameserver fe80::1%eth0\nnameserver ::1\nnameserver 10.0.0.4\n",
            Resolver(("10.0.0.1", "fe80::1%eth0", "::1")),
        ),
        ("nameserver dns.example\nnameserver\nnameserver 10.0.0.2", Resolver(("10.0.0.2",))),
        ("domain a.example.\n", Resolver(LOOPBACK, ("a.example",))),
        ("domain a.example\nsearch b.example c.example. .\n", Resolver(LOOPBACK, ("b.example", "c.example"))),
        ("search b.example\ndomain a.example\n", Resolver(LOOPBACK, ("a.example",))),
        ("options ndots:5 timeout:2 attempts:4 use-vc rotate edns0", Resolver(LOOPBACK, (), 5, 2.0, 4, use_tcp=True)),
        ("options ndots:99 timeout:0 attempts:0", Resolver(LOOPBACK, (), 15, 1.0, 1)),
        ("options ndots:x", Resolver(LOOPBACK, (), 0)),
        ("\tnameserver   10.0.0.1\r\n", Resolver(("10.0.0.1",))),
    ],
)
def test_resolv_conf_reads_as_in_go(tree: Tree, text: str, expected: Resolver) -> None:
    assert read(tree, text).resolver == expected


def test_the_nodes_own_domain_is_searched_where_nothing_is_set(tree: Tree) -> None:
    fs = tree({CONF: "nameserver 10.0.0.1\n"})
    assert read_resolver(fs, hostname="node.a.example").resolver.search == ("a.example",)
    assert read_resolver(tree({CONF: "search .\n"}), hostname="node.a.example").resolver.search == ()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("nameserver 10.0.0.1\n", []),
        ("name", [CONF, "/etc/nsswitch.conf"]),
        ("nameserver\nnameserver 10.0.0.1\n", [f"{CONF}:1"]),
        ("nameserver 10.0.0.300\nnameserver 10.0.0.1\n", [f"{CONF}:1"]),
        ("nameserver 10.0.0.1\n" * 4, [f"{CONF}:4"]),
        ("nameserver 10.0.0.1\noptions frobnicate\n", ["/etc/nsswitch.conf"]),
    ],
)
def test_half_written_files_are_used_and_said(tree: Tree, text: str, said: list[str]) -> None:
    results = read(tree, text).results
    assert [result.target for result in results] == said
    assert all(result.outcome is Outcome.SKIPPED for result in results)


def test_a_missing_file_means_the_loopback_servers(tree: Tree) -> None:
    view = read_resolver(tree({}))
    assert view.resolver.nameservers == LOOPBACK
    assert "no such file" in view.results[0].detail


def test_the_hosts_file_keeps_its_order(tree: Tree) -> None:
    hosts = "127.0.0.1 localhost\n# 10.0.0.9 no\n10.0.0.1 Reg.Example. alias # comment\nbad name\n10.0.0.2\n::1 six\n"
    assert read(tree, "", hosts=hosts).resolver.hosts == (
        ("127.0.0.1", ("localhost",)),
        ("10.0.0.1", ("reg.example", "alias")),
        ("::1", ("six",)),
    )


@pytest.mark.parametrize(
    ("nsswitch", "steps", "libc"),
    [
        ("hosts: files dns\n", "files dns", False),
        ("hosts: dns files\n", "dns files", False),
        ("passwd: files\nhosts:\tfiles mdns4_minimal [NOTFOUND=return] dns myhostname\n", "files dns", False),
        ("hosts: files dns [NOTFOUND=return]\n", "files dns", False),
        ("hosts: files [NOTFOUND=continue] dns\n", "files dns", False),
        ("hosts: files [NOTFOUND=return] dns\n", "files dns", False),  # the last criterion counts for nothing
        ("hosts: files [NOTFOUND=return UNAVAIL=continue] dns\n", "files:notfound dns", True),
        ("hosts: files[!SUCCESS=return]dns\n", "files:notfound,unavail,tryagain dns", True),
        ("hosts: mymachines resolve [!UNAVAIL=return] files dns\n", "mymachines files dns", True),
        ("hosts: files ldap dns\n", "files ldap dns", True),
        ("hosts: dns\n", "dns", False),
        ("hosts: files myhostname\n", "files", False),
        ("#hosts: dns files\n", "files dns", False),
        ("hosts:\n", "files dns", False),
    ],
)
def test_nsswitch_sets_the_order_and_who_looks(tree: Tree, nsswitch: str, steps: str, libc: bool) -> None:
    view = read(tree, "nameserver 10.0.0.1\n", **{"nsswitch.conf": nsswitch})
    assert shown(view) == steps
    assert view.resolver.libc is libc
    assert bool(view.results) is libc


def shown(view: ResolverView) -> str:
    return " ".join(":".join(filter(None, (one.source, ",".join(one.stops)))) for one in view.resolver.steps)


RESOLVE = "hosts: resolve [!UNAVAIL=return] files dns\n"


def test_a_build_without_cgo_looks_by_itself_whatever_nsswitch_says(tree: Tree) -> None:
    fs = tree({CONF: "nameserver 10.0.0.1\noptions frobnicate\n", "/etc/nsswitch.conf": RESOLVE})
    for go in (GoBuild(24, cgo=False), GoBuild(24, True, (("netdns", "go"),))):
        view = read_resolver(fs, go=go)
        assert (shown(view), view.resolver.libc) == ("files dns", False)
        assert "by itself" in view.results[0].detail
    assert read_resolver(tree({}), go=GoBuild(24, True, (("netdns", "cgo+1"),))).resolver.libc


def test_an_unknown_option_or_libcs_own_environment_leaves_names_to_libc(tree: Tree) -> None:
    assert read(tree, "options frobnicate\n").resolver.libc
    assert read_resolver(tree({CONF: ""}), prefers_libc=True).resolver.libc
    assert not read(tree, "options rotate edns0 trust-ad\n").resolver.libc


def test_systemd_resolved_counts_where_it_runs_and_its_nameservers_are_known(tree: Tree) -> None:
    upstream = "nameserver 10.0.0.53\nnameserver 127.0.0.53\n"
    files = {CONF: "nameserver 127.0.0.53\n", "/etc/nsswitch.conf": RESOLVE, UPSTREAMS: upstream}
    assert shown(read_resolver(tree(files))) == "files dns"
    view = read_resolver(tree({**files, RESOLVED: ""}))
    assert shown(view) == "resolve:notfound,tryagain files dns"
    assert view.resolver.upstreams == ("10.0.0.53",)
    plain = read_resolver(tree({**files, CONF: "nameserver 10.0.0.1\n", "/etc/nsswitch.conf": ""}))
    assert plain.resolver.upstreams == ()


def test_rotation_over_several_servers_is_said(tree: Tree) -> None:
    two = "nameserver 10.0.0.1\nnameserver 10.0.0.2\noptions rotate\n"
    assert "come and go" in read(tree, two).results[0].detail
    assert read(tree, "nameserver 10.0.0.1\noptions rotate\n").results == ()


def test_the_link_of_systemd_resolved_is_followed_inside_the_root(tree: Tree) -> None:
    fs = tree(
        {
            "/run/systemd/resolve/stub-resolv.conf": "nameserver 127.0.0.53\n",
            CONF: "-> ../run/systemd/resolve/stub-resolv.conf",
        }
    )
    assert read_resolver(fs).resolver.nameservers == ("127.0.0.53",)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150, deadline=None)
@given(
    data=st.one_of(st.binary(max_size=200), st.text(alphabet="nameserv ntiosdh:.5\n#;", max_size=200).map(str.encode))
)
def test_any_file_gives_a_resolver(tree: Tree, data: bytes) -> None:
    resolver = read_resolver(tree({CONF: data, "/etc/hosts": data, "/etc/nsswitch.conf": data})).resolver
    assert 1 <= len(resolver.nameservers) <= 3
    assert 0 <= resolver.ndots <= 15
    assert resolver.timeout >= 1
    assert resolver.attempts >= 1
