"""What is known of registry services by their host names: who provides credentials, and who hides what it forbids.

Sources: the services' own documentation and observed answers; a service that hides answers the same whether a repository
is absent or closed to the asker.
"""

from __future__ import annotations

from pullwhy.frozen import frozen


@frozen
class RegistryService:
    """One registry service."""

    title: str
    suffixes: tuple[str, ...]
    provider: str = ""
    """`aws`, `azure` or `google`: an exec credential provider of that cloud serves it on its own nodes."""
    hides: bool = False
    """Refuses alike what is absent and what is closed."""
    hides_as_absent: bool = False
    """May answer 404 for what it forbids."""


UNKNOWN = RegistryService("", ())

SERVICES: tuple[RegistryService, ...] = (
    RegistryService("Docker Hub", ("docker.io",), hides=True),
    RegistryService("GitHub Container Registry", ("ghcr.io",), hides=True),
    RegistryService("Quay.io", ("quay.io",), hides=True),
    RegistryService("GitLab", ("registry.gitlab.com",), hides=True),
    RegistryService("Amazon ECR", (".amazonaws.com", ".amazonaws.com.cn"), provider="aws", hides_as_absent=True),
    RegistryService("Azure Container Registry", (".azurecr.io", ".azurecr.cn", ".azurecr.us"), provider="azure"),
    RegistryService("Google Artifact Registry", (".pkg.dev", "gcr.io", ".gcr.io"), provider="google", hides=True),
    RegistryService("JFrog", (".jfrog.io",), hides_as_absent=True),
)


def service_of(registry: str) -> RegistryService:
    """Return the service behind `registry` (a host, perhaps with a port), `UNKNOWN` for all others."""
    host = registry.lower().partition(":")[0]
    for service in SERVICES:
        if any(host == suffix or (suffix.startswith(".") and host.endswith(suffix)) for suffix in service.suffixes):
            return service
    return UNKNOWN
