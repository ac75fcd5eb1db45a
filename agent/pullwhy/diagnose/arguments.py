"""The named values that summaries and remedies speak of."""

from __future__ import annotations

import re

from pullwhy.diagnose.case import Case
from pullwhy.diagnose.registries import service_of
from pullwhy.diagnose.rules.access import access_arguments
from pullwhy.diagnose.rules.verdict import Verdict, host_of
from pullwhy.model import Hypothesis, Via

MAX_VALUE = 400
"""Characters of one argument."""
MAX_ARGUMENTS = 48
MAX_SUMMARY = 600
"""Characters."""
MAX_MESSAGE = 16_384
"""Characters of a message that are searched for a host."""

_OTHER_HOSTS = frozenset({Via.TOKEN_HOST, Via.BLOB_HOST, Via.MIRROR})
_URL_HOST = re.compile(r"https?://([A-Za-z0-9.:\[\]-]{1,255})")

_DEFAULTS: dict[str, str] = {
    "tag": "(of that name)",
    "reference": "(of that digest)",
    "scheme_fault": "one side speaks plain HTTP and the other HTTPS",
    "detail": "see the evidence",
    "fault": "see the evidence",
    "issuer": "an unknown authority",
    "subject": "of the server",
    "not_after": "an unknown date",
    "not_before": "an unknown date",
    "names": "other names",
    "unsupported": "see the evidence",
    "policy": "see the evidence",
    "nature": "see the evidence",
    "where": "its configuration",
    "config_why": "see the evidence",
    "mirror_fault": "see the evidence",
    "status_text": "with an error",
    "answered": "answers 429 Too Many Requests",
    "storage_hint": "no space is left",
    "mount_hint": "a filesystem is mounted read-only",
    "missing": "no text tells one",
    "wanted_hint": "this node's platform",
}
"""Words for what only an observation could tell; what is not here is empty."""


_ON_THE_WAY: dict[str, str] = {
    "TokenHost": "; it is the token service that {registry} names",
    "BlobHost": "; it is the host that {registry} sends the runtime to for content",
    "Mirror": "; it is configured as a mirror of {registry}",
    "SandboxImage": "; this is the sandbox image, without which no new pod starts on this node",
}
"""What must be said of a host that the image's name does not show."""


class Words(dict[str, str]):
    """Values for a template; a missing one becomes its default."""

    def __missing__(self, key: str) -> str:
        return _DEFAULTS.get(key, "")


def arguments(case: Case, found: Verdict, told: Hypothesis | None) -> dict[str, str]:
    """Return the values for `found` on this node, without the empty ones, each bounded."""
    registry = case.image.registry if case.image is not None else (told.registry if told is not None else "")
    image_text = case.image_text or (case.failure.image if case.failure is not None else "")
    pod = case.failure.pod if case.failure is not None else None
    common = {
        "image": image_text
        or (str(case.image) if case.image is not None else (told.image if told is not None else "")),
        "registry": registry,
        "repository": case.image.repository if case.image is not None else "",
        "tag": case.image.tag if case.image is not None else "",
        "reference": case.image.reference if case.image is not None else "",
        "host": _told_host(case, found, registry),
        "via": found.via.value if found.via is not None else "",
        "namespace": pod.namespace if pod is not None else "",
        "pod": pod.name if pod is not None else "",
        "container": case.failure.container if case.failure is not None else "",
        "runtime": case.node.runtime,
        "version": case.node.version,
        "manager": case.node.managed_by,
        "certs_d": case.node.certs_d,
        "hosts_toml": case.node.hosts_toml,
        "config_file": case.node.config_file,
        "runtime_unit": case.node.runtime_unit,
        "platform": case.node.platform,
        "wanted": case.node.platform,
        "similar_repositories": ", ".join(case.similar_repositories),
        "provider": service_of(registry).provider,
        "service": service_of(registry).title,
    }
    common |= access_arguments(case, found) | {"resolved_by": _resolved_by(case, found)}
    own = {key: value for key, value in found.arguments.items() if value}
    values = {key: value[:MAX_VALUE] for key, value in (common | own).items() if value}
    return dict(list(values.items())[:MAX_ARGUMENTS])


def _resolved_by(case: Case, found: Verdict) -> str:
    """Return where the address of the host that failed comes from (`hosts`, `dns`, `literal`).

    Empty where that was not seen, and for the node's own name, whose entry in the hosts file is out of date for no registry.
    """
    if found.result is None or case.trace is None or _is_own_name(host_of(found.result), case.node.hostname):
        return ""
    return next(
        (each.dns.source for each in case.trace.results if each.dns and each.endpoint == found.result.endpoint), ""
    )


def _is_own_name(host: str, own: str) -> bool:
    """Whether `host` is the node's name, with its domain or without."""
    host, own = host.partition(":")[0].lower(), own.lower()
    return bool(host and own) and (host == own or host.startswith(f"{own}.") or own.startswith(f"{host}."))


def _told_host(case: Case, found: Verdict, registry: str) -> str:
    """Return the host that failed, by the text's own URL where the walk tells none and it is not the registry."""
    if found.result is not None or found.via not in _OTHER_HOSTS:
        return registry
    message = case.failure.message if case.failure is not None else ""
    named = [host for host in _URL_HOST.findall(message[:MAX_MESSAGE]) if host != registry]
    return named[-1] if named else "another host"


def summarise(template: str, values: dict[str, str]) -> str:
    """Return `template` with `values` in place; the template is ours, the values may be anybody's."""
    words = Words(values)
    for name, fallback in (("host", "registry"), ("registry", "host")):
        if not words[name]:
            words[name] = words[fallback] or "the registry"
    words.setdefault("image", "the image")
    words.setdefault("repository", words["image"])
    template += _ON_THE_WAY.get(words["via"], "")
    return template.format_map(words)[:MAX_SUMMARY]
