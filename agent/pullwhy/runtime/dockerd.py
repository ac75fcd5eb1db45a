"""What dockerd, behind cri-dockerd, contacts for one image: daemon.json and Docker's certs.d.

Source: moby 20.10 to 28, registry/config.go, service_v2.go (lookupV2Endpoints) and registry.go (ReadCertsDirectory).
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any, Final

from pullwhy.frozen import frozen
from pullwhy.image import ImageReference
from pullwhy.plan import Endpoint
from pullwhy.runtime import urls
from pullwhy.runtime.containerd.hosts import DOCKER_HUB, DOCKER_HUB_HOST, Hosts, PullBlocked, faulty, unseen
from pullwhy.runtime.crio.certificates import read_certificates
from pullwhy.runtime.host.hostfs import HostFS, UnreadableFile
from pullwhy.trace import ConfigFacts, ConfigFault, StageResult

FILE: Final = "/etc/docker/daemon.json"
CERTIFICATES: Final = ("/etc/docker/certs.d",)
_LOOPBACK: Final = ("127.0.0.0/8", "::1/128")


@frozen
class DaemonSettings:
    """The parts of daemon.json that bear on registries."""

    mirrors: tuple[str, ...] = ()
    """Of Docker Hub alone."""
    insecure: tuple[str, ...] = ()
    """Hosts and networks."""
    results: tuple[StageResult, ...] = ()


def dockerd_hosts(image: ImageReference, fs: HostFS) -> Hosts:
    """Return the endpoints in dockerd's order; nothing is raised."""
    settings = daemon_settings(fs)
    results = list(settings.results)
    endpoints: list[Endpoint] = []
    directory = ""
    mirrors = settings.mirrors if image.registry == DOCKER_HUB else ()
    for address in (*map(_address, mirrors), _own(image)):
        if address is None:
            facts = ConfigFacts(
                ConfigFault.INVALID,
                FILE,
                "a registry mirror is no http:// or https:// address",
                "write it as https://name",
                decides=False,
            )
            results.append(faulty(facts))
            continue
        found = _endpoint(address, image, settings)
        try:
            # Docker Hub's own certificates are always the system's.
            hub = not found.is_mirror and image.registry == DOCKER_HUB
            certificates = None if hub else read_certificates(address.authority, fs, CERTIFICATES)
        except PullBlocked as blocked:
            results.append(faulty(replace(blocked.facts, decides=not found.is_mirror and not endpoints)))
            continue
        except UnreadableFile as error:
            results.append(unseen(error, "the certificates of this registry"))
        else:
            if certificates is not None:
                found = replace(found, ca=certificates.ca, client=certificates.client)
                results += map(faulty, certificates.useless)
                directory = directory if found.is_mirror else certificates.directory
        endpoints.append(found)
    return Hosts(tuple(endpoints), tuple(results), directory)


def daemon_settings(fs: HostFS) -> DaemonSettings:
    """Return what daemon.json says; nothing is raised."""
    try:
        document = json.loads(fs.read(FILE))
    except UnreadableFile as error:
        return DaemonSettings(results=() if error.missing else (unseen(error, "what dockerd is set to"),))
    except json.JSONDecodeError as error:
        return _invalid(f"it is no JSON: {error.msg}", error.lineno)
    except (ValueError, RecursionError):
        return _invalid("it is no JSON")
    if not isinstance(document, dict):
        return _invalid("it is no JSON object")
    mirrors, insecure = document.get("registry-mirrors", []), document.get("insecure-registries", [])
    if not _are_texts(mirrors) or not _are_texts(insecure):
        return _invalid("registry-mirrors or insecure-registries is no list of texts")
    return DaemonSettings(tuple(mirrors), tuple(insecure))


def _are_texts(values: Any) -> bool:
    return isinstance(values, list) and all(isinstance(value, str) for value in values)


def _invalid(why: str, line: int | None = None) -> DaemonSettings:
    why = f"dockerd cannot use this file, and does not start again with it: {why}"
    facts = ConfigFacts(ConfigFault.INVALID, FILE, why, "correct it before the next restart", line, decides=False)
    return DaemonSettings(results=(faulty(facts),))


def _own(image: ImageReference) -> urls.Address:
    return urls.Address("https", DOCKER_HUB_HOST if image.registry == DOCKER_HUB else image.registry, "")


def _address(text: str) -> urls.Address | None:
    try:
        address = urls.parse_url(text)
        urls.port_number(address.port, address.scheme)
    except ValueError:
        return None
    return address if address.scheme in {"http", "https"} and address.authority else None


def _endpoint(address: urls.Address, image: ImageReference, settings: DaemonSettings) -> Endpoint:
    host, port = urls.split_port(address.authority)
    mirror = address.authority not in {image.registry, DOCKER_HUB_HOST}
    insecure = address.scheme == "https" and (
        address.authority in settings.insecure or urls.within(address.authority, (*settings.insecure, *_LOOPBACK))
    )
    return Endpoint(
        scheme=address.scheme,
        host=host,
        port=urls.port_number(port, address.scheme),
        names_port=bool(port),
        path=f"{urls.clean_path(address.path)}/v2",
        repository=image.repository,
        is_mirror=mirror,
        skip_verify=insecure,
        http_fallback=insecure,
        http_port=urls.port_number(port, "http") if insecure else 0,
        source=FILE if mirror else "default",
    )
