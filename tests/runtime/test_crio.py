import base64
import os
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

import pytest
import trustme
from walking.certificates import pair_of

from pullwhy.image import parse
from pullwhy.runtime.crio.endpoints import CrioHosts, crio_hosts
from pullwhy.runtime.host.hostfs import HostFS
from pullwhy.runtime.process import RuntimeProcess
from pullwhy.runtime.versions import parse_version
from pullwhy.trace import ConfigFacts, ConfigFault

Content = str | bytes | None
Tree = Callable[[Mapping[str, Content]], HostFS]

REGISTRIES = "/etc/containers/registries.conf"
CERTS = "/etc/containers/certs.d"
POLICY = {"/etc/containers/policy.json": '{"default": [{"type": "insecureAcceptAnything"}]}'}
CRIO = "/etc/crio/crio.conf"
DIGEST = f"sha256:{'a' * 64}"


def certificate(filling: str = "a") -> str:
    body = base64.b64encode(b"\x30\x01" + filling.encode()).decode()
    return f"-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n"


PAIR = pair_of(trustme.CA().issue_cert("client.test"))
KEY = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"


def see(
    fs: HostFS, image: str = "reg.example/a/b:1", version: str = "1.36.3", started: datetime | None = None
) -> CrioHosts:
    process = RuntimeProcess(1, "crio", started=started) if started else None
    return crio_hosts(parse(image), parse_version(version), process, fs)


def asked(found: CrioHosts) -> list[str]:
    return [f"{each.scheme}://{each.authority}{each.path}/{each.repository}" for each in found.endpoints]


def facts(found: CrioHosts) -> list[ConfigFacts]:
    return [result.config for result in found.results if result.config is not None]


def registry(*mirrors: str, settings: str = "", name: str = "reg.example") -> str:
    tables = "".join(f'[[registry.mirror]]\nlocation = "{mirror}"\n' for mirror in mirrors)
    return f'[[registry]]\nlocation = "{name}"\n{settings}{tables}'


def test_without_files_the_registry_itself_is_asked(tree: Tree) -> None:
    fs = tree(POLICY)
    assert asked(see(fs)) == ["https://reg.example/v2/a/b"]
    assert asked(see(fs, "docker.io/library/busybox:1")) == ["https://registry-1.docker.io/v2/library/busybox"]
    assert see(fs).results == ()


def test_mirrors_come_first_with_names_of_their_own_and_the_registry_last(tree: Tree) -> None:
    found = see(tree({**POLICY, REGISTRIES: registry("m.example:5000/cache", "docker.io/mirror")}))
    assert asked(found) == [
        "https://m.example:5000/v2/cache/a/b",
        "https://registry-1.docker.io/v2/mirror/a/b",
        "https://reg.example/v2/a/b",
    ]
    assert [each.is_mirror for each in found.endpoints] == [True, True, False]
    assert {each.source for each in found.endpoints} == {f"{REGISTRIES}:1"}


def test_insecure_means_no_verification_and_then_plain_http_on_its_own_port(tree: Tree) -> None:
    fs = tree({**POLICY, REGISTRIES: registry(settings="insecure = true\n")})
    (own,) = see(fs).endpoints
    assert (own.scheme, own.port, own.skip_verify, own.http_fallback, own.http_port) == ("https", 443, True, True, 80)
    fs = tree({**POLICY, REGISTRIES: registry(settings="insecure = true\n", name="reg.example:5000")})
    assert see(fs, "reg.example:5000/a:1").endpoints[0].http_port == 5000


def test_a_slash_at_the_end_of_a_mirror_fails_every_pull_before_the_library_took_it_away(tree: Tree) -> None:
    fs = tree({**POLICY, REGISTRIES: registry("m.example/cache/")})
    assert asked(see(fs))[0] == "https://m.example/v2/cache/a/b"
    old = see(fs, version="1.32.4")
    assert asked(old) == []
    (fault,) = facts(old)
    assert (fault.file, fault.line, fault.decides) == (REGISTRIES, 1, True)
    assert "slash" in fault.mend


def test_a_blocked_registry_decides_where_nothing_else_is_left(tree: Tree) -> None:
    found = see(tree({**POLICY, REGISTRIES: registry(settings="blocked = true\n")}))
    assert asked(found) == []
    (fault,) = facts(found)
    assert (fault.fault, fault.file, fault.line, fault.decides) == (ConfigFault.BLOCKED, REGISTRIES, 1, True)
    mirrored = see(tree({REGISTRIES: registry("m.example", settings="blocked = true\n")}))
    assert asked(mirrored) == ["https://m.example/v2/a/b"]
    assert [fault.decides for fault in facts(mirrored)] == [False]


def test_blocking_goes_by_where_is_pulled_from_and_not_by_the_name(tree: Tree) -> None:
    text = registry("m.example") + '[[registry]]\nlocation = "m.example"\nblocked = true\n'
    assert asked(see(tree({**POLICY, REGISTRIES: text}))) == ["https://reg.example/v2/a/b"]
    moved = '[[registry]]\nprefix = "reg.example"\nlocation = "b.example"\nblocked = true\n'
    assert asked(see(tree({**POLICY, REGISTRIES: moved}))) == ["https://b.example/v2/a/b"]


def test_certificates_are_those_of_the_first_directory_for_the_host(tree: Tree) -> None:
    fs = tree(
        {
            **POLICY,
            f"{CERTS}/reg.example:5000/ca.crt": certificate("a"),
            f"{CERTS}/reg.example:5000/client.cert": PAIR.certificate,
            f"{CERTS}/reg.example:5000/client.key": PAIR.key.reveal(),
            "/etc/docker/certs.d/reg.example:5000/ca.crt": certificate("b"),
            "/etc/docker/certs.d/docker.io/ca.crt": certificate("b"),
        }
    )
    (own,) = see(fs, "reg.example:5000/a:1").endpoints
    assert (own.ca, own.client) == ((certificate("a"),), (PAIR,))
    assert see(fs, "reg.example:5000/a:1").directory == f"{CERTS}/reg.example:5000"
    assert see(fs, "docker.io/library/a:1").endpoints[0].ca == (certificate("b"),)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("client.cert", certificate(), "has no key beside it"),
        ("client.key", KEY, "has no client certificate beside it"),
        ("ca.crt", "-> /etc", "cannot be read"),
    ],
)
def test_certificates_that_the_library_refuses_fail_the_place_that_they_are_for(
    tree: Tree, name: str, content: str, said: str
) -> None:
    found = see(tree({**POLICY, f"{CERTS}/reg.example/{name}": content}))
    assert asked(found) == []
    (fault,) = facts(found)
    assert (fault.fault, fault.decides) == (ConfigFault.INVALID, True)
    assert said in fault.why
    fs = tree({REGISTRIES: registry("m.example", name="c.example"), f"{CERTS}/m.example/{name}": content})
    mirrored = see(fs, "c.example/a:1")
    assert asked(mirrored) == ["https://c.example/v2/a"]
    assert [fault.decides for fault in facts(mirrored)] == [False]


def test_a_ca_file_without_a_certificate_is_passed_over_and_told(tree: Tree) -> None:
    found = see(tree({**POLICY, f"{CERTS}/reg.example/ca.crt": "DER", f"{CERTS}/reg.example/gone.crt": "-> /nowhere"}))
    assert [each.ca for each in found.endpoints] == [()]
    assert [(fault.file, fault.decides) for fault in facts(found)] == [(f"{CERTS}/reg.example/ca.crt", False)]


def test_a_short_name_follows_aliases_then_search_registries(tree: Tree) -> None:
    files = {
        **POLICY,
        REGISTRIES: 'unqualified-search-registries = ["quay.io"]\n[aliases]\n"app" = "reg.example/team/app"\n',
    }
    assert asked(see(tree(files), "app:1")) == ["https://reg.example/v2/team/app"]
    assert str(see(tree(files), "app:1").image) == "reg.example/team/app:1"
    assert asked(see(tree(files), f"app:1@{DIGEST}")) == ["https://reg.example/v2/team/app"]
    assert asked(see(tree(files), "library/app:1")) == ["https://quay.io/v2/library/app"]
    learnt = {**files, "/var/cache/containers/short-name-aliases.conf": '[aliases]\n"app" = "b.example/app"\n'}
    assert asked(see(tree(learnt), "app:1")) == ["https://b.example/v2/app"]
    reset = {
        **files,
        f"{REGISTRIES}.d/1.conf": '[aliases]\n"app" = ""\n',
        "/var/cache/containers/short-name-aliases.conf": "",
    }
    assert asked(see(tree(reset), "app:1")) == ["https://quay.io/v2/app"]


def test_a_short_name_that_may_be_of_several_registries_fails_or_is_tried_everywhere(tree: Tree) -> None:
    fs = tree({**POLICY, REGISTRIES: 'unqualified-search-registries = ["quay.io", "docker.io"]\n'})
    (fault,) = facts(see(fs, "app:1"))
    assert (fault.fault, fault.file, fault.line, fault.decides) == (ConfigFault.INVALID, REGISTRIES, 1, True)
    assert "quay.io/app:1" in fault.mend
    assert "workload" in fault.mend
    everywhere = see(fs, "app:1", version="1.33.0")
    assert asked(everywhere) == ["https://quay.io/v2/app", "https://registry-1.docker.io/v2/library/app"]
    assert [each.is_mirror for each in everywhere.endpoints] == [True, False]
    fs = tree({CRIO: '[crio.image]\nshort_name_mode = "disabled"\n'})
    assert len(see(fs, "app:1").endpoints) == 2


def test_a_short_name_without_any_search_registry_is_to_be_qualified_in_the_workload(tree: Tree) -> None:
    found = see(tree(POLICY), "app:1")
    assert asked(found) == []
    (fault,) = facts(found)
    assert "docker.io/library/app:1" in fault.mend


def test_the_policy_rejects_by_its_most_specific_scope(tree: Tree) -> None:
    policy = (
        '{"default": [{"type": "reject"}], "transports": {"docker": {'
        '"reg.example": [{"type": "insecureAcceptAnything"}], "reg.example/a/b:2": [{"type": "reject"}],'
        '"*.b.example": [{"type": "signedBy", "keyType": "GPGKeys", "keyPath": "/k"}]}}}'
    )
    fs = tree({"/etc/containers/policy.json": policy})
    assert facts(see(fs)) == []
    (fault,) = facts(see(fs, "reg.example/a/b:2"))
    assert (fault.fault, fault.decides) == (ConfigFault.REJECTED, False)
    assert [fault.fault for fault in facts(see(fs, "c.example/a:1"))] == [ConfigFault.REJECTED]
    assert facts(see(fs, "s.b.example:5000/a:1")) == []
    assert "signature" in see(fs, "s.b.example:5000/a:1").results[0].detail


@pytest.mark.parametrize(
    "policy",
    [
        None,
        "{",
        "[]",
        "{}",
        '{"default": []}',
        '{"default": [{"type": "accept"}]}',
        '{"default": [{"type": "reject", "why": "x"}]}',
        '{"default": [{"type": "reject"}], "default": [{"type": "reject"}]}',
        '{"default": [{"type": "reject"}], "transport": {}}',
    ],
)
def test_without_a_good_policy_nothing_is_pulled(tree: Tree, policy: str | None) -> None:
    fs = tree({"/etc/containers/policy.json": policy} if policy else {"/etc/containers": None})
    found = see(fs)
    assert asked(found) == []
    assert [(fault.file, fault.decides) for fault in facts(found)] == [("/etc/containers/policy.json", True)]


def test_insecure_registries_of_crio_count_until_they_were_dropped(tree: Tree) -> None:
    fs = tree({**POLICY, f"{CRIO}.d/10-x": '[crio.image]\ninsecure_registries = ["reg.example", "10.0.0.0/8"]\n'})
    for version, image, insecure in (
        ("1.34.1", "reg.example/a:1", True),
        ("1.34.1", "10.1.2.3:5000/a:1", True),
        ("1.34.1", "127.0.0.1:5000/a:1", True),
        ("1.34.1", "b.example/a:1", False),
        ("1.35.0", "reg.example/a:1", False),
        ("1.36.3", "127.0.0.1:5000/a:1", False),
    ):
        assert see(fs, image, version).endpoints[0].skip_verify is insecure
    (fault,) = facts(see(fs, "reg.example/a:1"))
    assert (fault.fault, fault.file, fault.line, fault.decides) == (ConfigFault.IGNORED, f"{CRIO}.d/10-x", 2, False)


def test_credentials_of_its_own_are_told_for_the_places_that_they_are_for(tree: Tree) -> None:
    entry = '{"auth": "dTpw"}'
    auth = {
        "/run/containers/0/auth.json": f'{{"auths": {{"m.example/cache": {entry}, "https://docker.io/v1/": {entry}}}}}'
    }
    fs = tree({**POLICY, **auth, REGISTRIES: registry("m.example/cache", "docker.io/x")})
    assert see(fs).held == ("m.example", "registry-1.docker.io")
    fs = tree({"/auth": "{}", CRIO: '[crio.image]\nglobal_auth_file = "/auth"\n'})
    assert see(fs).held == ()
    fs = tree({"/auth": '{"auths": {"reg.example": {}}, "credHelpers": {"reg.example": "ecr"}}'})
    assert see(fs).held == ("reg.example",)
    assert "dTpw" not in repr(see(fs))


def test_a_bad_auth_file_is_told(tree: Tree) -> None:
    (fault,) = facts(see(tree({**POLICY, "/root/.docker/config.json": "{"})))
    assert (fault.file, fault.decides) == ("/root/.docker/config.json", False)


def test_what_changed_after_the_start_counts_after_a_reload(tree: Tree) -> None:
    fs = tree({**POLICY, REGISTRIES: registry("m.example"), f"{REGISTRIES}.d/1.conf": ""})
    for name in (REGISTRIES, f"{REGISTRIES}.d/1.conf"):
        os.utime(fs.local(name), (5000, 5000))
    before, after = datetime.fromtimestamp(1000, UTC), datetime.fromtimestamp(9000, UTC)
    assert [result.target for result in see(fs, started=before).results] == [REGISTRIES, f"{REGISTRIES}.d/1.conf"]
    assert "systemctl reload crio" in see(fs, started=before).results[0].detail
    assert see(fs, started=after).results == ()


def test_a_file_that_went_bad_after_the_start_does_not_decide(tree: Tree) -> None:
    fs = tree({**POLICY, REGISTRIES: "["})
    os.utime(fs.local(REGISTRIES), (5000, 5000))
    late = see(fs, started=datetime.fromtimestamp(1000, UTC))
    assert asked(late) == ["https://reg.example/v2/a/b"]
    assert [fault.decides for fault in facts(late)] == [False]
    assert [fault.decides for fault in facts(see(fs))] == [True]
    assert asked(see(fs)) == []


def test_a_bad_setting_of_crio_is_told_and_left_out(tree: Tree) -> None:
    fs = tree({**POLICY, CRIO: "[crio.image]\nglobal_auth_file = 5\n", f"{CRIO}.d/a/b": "["})
    assert [(fault.file, fault.line) for fault in facts(see(fs))] == [(CRIO, 2), (f"{CRIO}.d/a/b", 1)]
    assert asked(see(fs)) == ["https://reg.example/v2/a/b"]
