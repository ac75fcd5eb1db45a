"""From a text to a hypothesis: what a failed pull's error message says about its cause."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Final

from pullwhy.diagnose.catalogue.causes import CATALOGUE
from pullwhy.diagnose.classify import local, network, registry, request
from pullwhy.diagnose.classify.nature import is_about_a_pull, is_something_else, tells_of_failure
from pullwhy.diagnose.classify.opening import Opened, open_text
from pullwhy.diagnose.classify.request import Kind, Request
from pullwhy.diagnose.classify.rule import Rule, rule
from pullwhy.image import ImageReference
from pullwhy.model import CauseId, Hypothesis, PullFailure, Stage, Via

_TABLES: Final[tuple[tuple[Rule, ...], ...]] = (
    local.KUBELET,
    local.SIGNATURE,
    network.PROXY,
    local.CONFIG,
    local.STORAGE,
    local.CONTENT,
    local.PLATFORM,
    local.MANIFEST,
    local.UNPACK,
    network.RUNTIME,
    network.TLS,
    network.DNS,
    network.CONNECT,
)
"""In this order, because an error of a later stage may quote the words of an earlier one: a layer store's "no space left"."""

_LAST: Final[tuple[tuple[Rule, ...], ...]] = (registry.CODES, network.STALLED, registry.CUT)

_URL: Final = re.compile(r"https?://[^\s\"'<>]++")
_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")
# containerd 1.6 to 2.3 (core/remotes/docker/resolver.go) asks every host for the manifest and reports one failure of them:
# that a mirror could not be reached says nothing of the image, which another host was asked for too.
_RESOLVING: Final = "failed to resolve"
_ON_THE_WAY: Final = frozenset({Stage.DNS, Stage.CONNECT, Stage.TLS})
_UNDETERMINED: Final = rule("nothing told", CauseId.UNDETERMINED, stage=Stage.RUNTIME)
_BACK_OFF: Final = rule("back-off without a cause", CauseId.UNDETERMINED, stage=Stage.KUBELET)
# containerd and gRPC: a code without words still says what was missing.
_BY_CODE: Final = {
    "NotFound": rule(
        "NotFound alone",
        CauseId.TAG_NOT_FOUND,
        CauseId.REPOSITORY_NOT_FOUND,
        CauseId.PLATFORM_NOT_AVAILABLE,
        CauseId.BLOB_UNAVAILABLE,
        stage=Stage.MANIFEST,
    ),
    "Unavailable": rule("Unavailable alone", CauseId.RUNTIME_UNAVAILABLE, stage=Stage.RUNTIME),
    "Canceled": rule("Canceled alone", CauseId.PULL_STALLED),
    "DeadlineExceeded": rule("DeadlineExceeded alone", CauseId.PULL_STALLED, CauseId.CONNECTION_TIMED_OUT),
}


def classify(message: str) -> Hypothesis | None:
    """Return what `message` says about a failed pull, None where it tells of none.

    Takes a bare CRI error, an event's or `describe`'s text, a whole log line (klog text, its multi-line form, klog JSON,
    logfmt), and what docker and CRI-O write. Pure; never raises; linear in the length of the text.
    """
    opened = open_text(message)
    if is_something_else(opened):
        return None
    asked = request.read_request(opened.error)
    about = is_about_a_pull(opened)
    found = _fault(opened, asked, about=about)
    if found is None:
        if not (about and tells_of_failure(opened)):
            return None
        found = _BACK_OFF if "Back-off" in opened.whole else _BY_CODE.get(opened.code, _UNDETERMINED)
    return _hypothesis(opened, asked, found)


def classify_failure(failure: PullFailure) -> Hypothesis:
    """Return what a recognised failure's text says; Undetermined where it says nothing."""
    found = classify(f"{failure.reason.value}: {failure.message}")
    if found is None:
        found = Hypothesis(CauseId.UNDETERMINED, Stage.RUNTIME, CATALOGUE[CauseId.UNDETERMINED].retryable)
    if not failure.image or found.via is Via.SANDBOX_IMAGE:
        return found
    parsed = request.reference(failure.image)
    return replace(found, image=failure.image, registry=parsed.registry if parsed else found.registry)


def _fault(opened: Opened, asked: Request, *, about: bool) -> Rule | None:
    """Return the rule that explains the text: the runtime's own words first, then what the registry said."""
    error = _masked(opened, opened.error)
    everything = f"{error}\n{_masked(opened, opened.detail)}"
    early = (registry.TELLING,) if _answered(asked, error) else ()
    for table in (*early, *_TABLES, registry.TELLING):
        found = _first(table, everything if table is registry.TELLING else error, about=about)
        if found is not None:
            return found
    status = registry.status_of(error)
    if status and about:
        found = registry.by_status(status, asked, everything)
        if found is not None:
            return found
    for table in _LAST:
        found = _first(table, error, about=about) or _first(table, everything, about=about)
        if found is not None:
            return found
    return _first(local.KUBELET, opened.whole, about=about)


def _answered(asked: Request, error: str) -> bool:
    """Whether the text is about an HTTP answer; then what the registry said outranks words that merely look like others'."""
    return bool(registry.status_of(error)) and asked.kind is not Kind.UNKNOWN


def _first(table: tuple[Rule, ...], text: str, *, about: bool) -> Rule | None:
    return next((each for each in table if each.matches(text, about_a_pull=about)), None)


def _masked(opened: Opened, text: str) -> str:
    """Put marks in place of URLs and references: no host or repository name may read like an error."""
    text = _URL.sub(_url_mark, text)
    for image in {opened.pod_image, opened.runtime_image}:
        if len(image) > 3 and ("/" in image or ":" in image):  # noqa: PLR2004 - shorter ones are words
            text = text.replace(image, "@ref")
        elif image:
            text = text.replace(f'"{image}"', '"@ref"')
    return text


def _url_mark(url: re.Match[str]) -> str:
    return "@url" + url[0][len(url[0].rstrip(":,;.)]")) :]


def _hypothesis(opened: Opened, asked: Request, found: Rule) -> Hypothesis:
    image = opened.pod_image or opened.runtime_image
    parsed = request.reference(opened.runtime_image) or request.reference(image)
    registry = parsed.registry if parsed else request.registry_asked(opened.error)
    cause = _settled(found.cause, parsed, opened)
    where = Via.PROXY if cause is CauseId.PROXY_FAILED else request.via(asked, parsed, registry)
    if opened.sandbox:
        where = Via.SANDBOX_IMAGE
        cause = CauseId.SANDBOX_IMAGE_UNAVAILABLE if cause is CauseId.UNDETERMINED else cause
    alternatives = [each for each in found.alternatives if each is not cause]
    stage = CATALOGUE[cause].stage_for(found.stage or asked.stage)
    if where is Via.MIRROR and _RESOLVING in opened.error and CATALOGUE[cause].stage in _ON_THE_WAY:
        cause, alternatives = CauseId.MIRROR_FAILED, [cause, *alternatives]
    elif opened.mirrors_failed or where is Via.MIRROR:
        alternatives.append(CauseId.MIRROR_FAILED)
    return Hypothesis(cause, stage, CATALOGUE[cause].retryable, where, image, registry, tuple(alternatives))


def _settled(cause: CauseId, image: ImageReference | None, opened: Opened) -> CauseId:
    """Tell a missing tag from a missing digest, and from a child that its index names but the registry lacks."""
    if cause is not CauseId.TAG_NOT_FOUND:
        return cause
    asked = _DIGEST.findall(opened.error)
    if image is not None and image.digest:
        return CauseId.DIGEST_NOT_FOUND if not asked or image.digest in asked else CauseId.BLOB_UNAVAILABLE
    if not asked:
        return cause
    return CauseId.BLOB_UNAVAILABLE if image is not None else CauseId.DIGEST_NOT_FOUND
