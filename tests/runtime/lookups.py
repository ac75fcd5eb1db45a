"""What a tree of certs.d leads to, in a form that tests compare."""

import base64
from collections.abc import Callable, Mapping

import trustme
from walking.certificates import pair_of

from pullwhy.model import Outcome
from pullwhy.plan import Endpoint
from pullwhy.runtime.containerd.hosts import Hosts, registry_hosts
from pullwhy.runtime.host.hostfs import HostFS
from pullwhy.runtime.versions import Version, parse_version
from pullwhy.trace import ConfigFacts

Tree = Callable[[Mapping[str, str | bytes | None]], HostFS]

V16, V17, V21, V22 = map(parse_version, ("v1.6.20", "v1.7.24", "v2.1.9", "v2.2.0"))
ROOT = "/etc/containerd/certs.d"
OWN = "https reg.example:443/v2"


def pem(label: str = "CERTIFICATE", filling: bytes = b"a") -> str:
    body = base64.b64encode(b"\x30\x01" + filling).decode()
    return f"-----BEGIN {label}-----\n{body}\n-----END {label}-----\n"


AUTHORITY = trustme.CA()
ONE, TWO = (pair_of(AUTHORITY.issue_cert(f"{name}.test")) for name in ("one", "two"))


def shown(endpoint: Endpoint) -> str:
    marks = "".join(
        mark
        for mark, present in (
            (" fallback", endpoint.http_fallback),
            (" insecure", endpoint.skip_verify),
            (" no-resolve", not endpoint.resolve),
            (" no-pull", not endpoint.pull),
        )
        if present
    )
    return f"{endpoint.scheme} {endpoint.host}:{endpoint.port}{endpoint.path}{marks}"


def look(fs: HostFS, registry: str = "reg.example", version: Version = V21, roots: tuple[str, ...] = (ROOT,)) -> Hosts:
    return registry_hosts(registry, roots, version, fs)


def facts(hosts: Hosts) -> ConfigFacts:
    (result,) = hosts.results
    assert result.outcome is Outcome.FAILED
    assert result.config is not None
    return result.config


M2_THEN = 'server = "http://m3.example:5000"\n[host."http://m2.example:5000"]\n'


HOST_M2 = '[host."http://m2.example:5000"]\n'
HOST_M1 = '[host."http://m1.example:5000"]\n'
