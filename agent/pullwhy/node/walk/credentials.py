"""Which credentials a walk may try for an image, in order, and what is told of them: the node's own, a given file's, pull secrets'."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from pullwhy.access import CredentialFacts
from pullwhy.frozen import frozen
from pullwhy.image import ImageReference
from pullwhy.model import Outcome, Stage
from pullwhy.plan import Credential
from pullwhy.runtime.host.hostfs import HostFS, UnreadableFile
from pullwhy.runtime.kubelet.credentials import (
    InvalidCredentials,
    Match,
    PullSecret,
    node_credentials,
    pull_secret_credentials,
    supplied_credentials,
)
from pullwhy.runtime.kubelet.providers import providers
from pullwhy.runtime.kubelet.settings import Kubelet
from pullwhy.trace import StageResult


@frozen
class Matched:
    """What matches, and what is told of it without a secret."""

    credentials: tuple[Credential, ...]
    results: tuple[StageResult, ...]


def match(
    named: ImageReference,
    image: ImageReference,
    fs: HostFS,
    kubelet: Kubelet,
    given: str = "",
    secrets: Sequence[PullSecret] = (),
) -> Matched:
    """Return what the kubelet's keys match for an image as the pod names it, where that leads to `image`.

    Raises InvalidCredentials for a file `given` that cannot be used.
    """
    matched = _of_files(named, fs, kubelet, given)
    pods = [(secret, pull_secret_credentials(named, secret)) for secret in secrets]
    withheld = image.registry != named.registry
    if withheld and matched.credentials:
        matched = _withheld(matched, named, image)
    facts = CredentialFacts(
        tuple(each.source for each in matched.credentials),
        matched.near_misses,
        providers(named, kubelet, fs),
        tuple(line for secret, found in pods for line in _told(secret, found, image, withheld=withheld)),
    )
    of_pods = () if withheld else tuple(each for _, found in pods for each in found.credentials)
    return Matched((*matched.credentials, *of_pods), (*matched.results, *_results(facts)))


def _of_files(image: ImageReference, fs: HostFS, kubelet: Kubelet, given: str) -> Match:
    own = node_credentials(image, fs, kubelet)
    if not given:
        return own
    try:
        data = HostFS().read(str(Path(given).absolute()))
    except UnreadableFile as error:
        raise InvalidCredentials(given, error.why) from None
    supplied = supplied_credentials(image, data, given)
    return Match((*own.credentials, *supplied.credentials), (*own.near_misses, *supplied.near_misses), own.results)


def _withheld(matched: Match, named: ImageReference, image: ImageReference) -> Match:
    """Keep credentials from a registry that they are not for: a short name matches those of Docker Hub alone."""
    miss = f"the credentials for {named.registry} are not shown to {image.registry}, which the short name leads to"
    return Match((), (*matched.near_misses, miss), matched.results)


def _told(secret: PullSecret, found: Match, image: ImageReference, *, withheld: bool) -> tuple[str, ...]:
    """Tell what came of one pull secret."""
    if secret.fault:
        return (f"{secret} was not tried: it {secret.fault}",)
    if found.credentials and withheld:
        return (f"{secret} is not shown to {image.registry}, which the short name leads to",)
    if found.credentials:
        return (f"{secret} has credentials for {image.name}; the walk shows them where it is asked for some",)
    return found.near_misses or (f"{secret} has no key that matches {image.name}",)


def _results(access: CredentialFacts) -> Iterator[StageResult]:
    """Tell what the kubelet's files offer: first as a whole, then what looks meant for the image and is not."""
    parts = [f"credentials of {source}" for source in access.sources]
    parts += [f"the exec credential provider {each.name}" for each in access.providers.serving]
    detail = f"the kubelet has {', '.join(parts)}" if parts else "the node has no credentials for this image"
    yield StageResult(Stage.AUTH, "credentials", Outcome.SKIPPED, detail=detail, access=access)
    for miss in access.near_misses:
        yield StageResult(Stage.AUTH, "credentials", Outcome.SKIPPED, detail=miss)
    for line in access.pull_secrets:
        yield StageResult(Stage.AUTH, "pull secrets", Outcome.SKIPPED, detail=line)
