"""Image references: the grammar that the kubelet and the runtimes share, with every default made explicit.

Source: distribution/reference (normalize.go, regexp.go), which kubelet 1.24 to 1.36 (pkg/util/parsers) and containerd use.
"""

from __future__ import annotations

import re
from typing import Final

from pullwhy.frozen import frozen

MAX_LENGTH: Final = 4096
"""Characters; longer texts are no reference but an attack."""
MAX_NAME_LENGTH: Final = 255
"""Characters of registry and repository together (distribution/reference: NameTotalLengthMax)."""

_DOMAIN_LABEL: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?\Z")
_IPV6: Final = re.compile(r"\[[0-9a-fA-F:]{2,45}\]\Z")
_PATH_COMPONENT: Final = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*\Z")
_TAG: Final = re.compile(r"\w[\w.-]{0,127}\Z", re.ASCII)
_DIGEST: Final = re.compile(r"(sha256:[0-9a-f]{64}|sha384:[0-9a-f]{96}|sha512:[0-9a-f]{128})\Z")
_BARE_HEX: Final = re.compile(r"[0-9a-f]{64}\Z")


class InvalidReference(ValueError):
    """A text is no image reference; names the part at fault and, where one is likely, the intended spelling."""

    def __init__(self, text: str, fault: str, suggestion: str = "") -> None:
        super().__init__(fault)
        self.text = text[:MAX_NAME_LENGTH]
        self.fault = fault
        self.suggestion = suggestion


@frozen
class ImageReference:
    """A parsed reference, normalised; the defaulted parts are known by name."""

    registry: str
    """Host and port as containerd looks them up: `docker.io` for Docker Hub."""
    repository: str
    tag: str = ""
    """Empty where only a digest was given."""
    digest: str = ""
    defaulted: tuple[str, ...] = ()
    """Those of `registry`, `library` and `tag` that were not written."""

    @property
    def name(self) -> str:
        """Registry and repository."""
        return f"{self.registry}/{self.repository}"

    @property
    def is_docker_hub(self) -> bool:
        """Whether the reference's registry is Docker Hub."""
        return self.registry == "docker.io"

    @property
    def reference(self) -> str:
        """What the registry is asked for: the digest where there is one, else the tag."""
        return self.digest or self.tag

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        digest = f"@{self.digest}" if self.digest else ""
        return f"{self.name}{tag}{digest}"


def parse(text: str) -> ImageReference:
    """Parse `text` as the kubelet would.

    Raises InvalidReference, which names the first part that is wrong.
    """
    try:
        return _parse(text)
    except InvalidReference as error:
        if error.suggestion and not _is_valid(error.suggestion):
            raise InvalidReference(text, error.fault) from None
        raise


def parsed(text: str) -> ImageReference | None:
    """Return what `parse` does, and None for what is no reference."""
    try:
        return parse(text)
    except InvalidReference:
        return None


def canonical(text: str) -> str:
    """Return the reference as every writer would spell it; the text itself where it is none."""
    reference = parsed(text)
    return str(reference) if reference is not None else text


def _is_valid(text: str) -> bool:
    try:
        _parse(text)
    except InvalidReference:
        return False
    return True


def _parse(text: str) -> ImageReference:
    _check_characters(text)
    rest, _, digest = text.partition("@")
    if "@" in text and not _DIGEST.match(digest):
        raise InvalidReference(text, f"the digest {digest[:80]!r} is not sha256: and 64 lower-case hex digits")
    name, tag = _split_tag(rest)
    if tag is not None and not _TAG.match(tag):
        raise InvalidReference(text, _tag_fault(tag), _tag_suggestion(name, tag))
    if _BARE_HEX.match(text):
        raise InvalidReference(text, "64 hex digits alone are an image id, not a name")
    registry, repository, defaulted = _split_registry(text, name)
    _check_repository(text, registry, repository)
    if tag is None and not digest:
        tag, defaulted = "latest", (*defaulted, "tag")
    return ImageReference(registry, repository, tag or "", digest, defaulted)


def _check_characters(text: str) -> None:
    if not text:
        raise InvalidReference(text, "the reference is empty")
    if len(text) > MAX_LENGTH:
        raise InvalidReference(text, f"the reference has {len(text)} characters, more than any registry takes")
    if "://" in text[:12]:
        scheme = text.split("://", 1)[0]
        raise InvalidReference(
            text, f"a reference has no scheme, and this one begins with {scheme}://", text.split("://", 1)[1]
        )
    for position, character in enumerate(text):
        if character.isspace():
            raise InvalidReference(text, f"white space at character {position + 1}", "".join(text.split()))
        if not (character.isascii() and (character.isalnum() or character in "._-/:@[]")):
            raise InvalidReference(text, f"{character!r} at character {position + 1} may not stand in a reference")


def _split_tag(rest: str) -> tuple[str, str | None]:
    slash = rest.rfind("/")
    colon = rest.rfind(":")
    if colon > slash:
        return rest[:colon], rest[colon + 1 :]
    return rest, None


def _split_registry(text: str, name: str) -> tuple[str, str, tuple[str, ...]]:
    first, slash, remainder = name.partition("/")
    if not slash or not ("." in first or ":" in first or first == "localhost" or first != first.lower()):
        registry, repository = "docker.io", name
        defaulted: tuple[str, ...] = ("registry",)
    else:
        _check_registry(text, first)
        registry, repository, defaulted = first, remainder, ()
    if registry == "index.docker.io":
        registry = "docker.io"
    if registry == "docker.io" and "/" not in repository:
        repository, defaulted = f"library/{repository}", (*defaulted, "library")
    return registry, repository, defaulted


def _check_registry(text: str, registry: str) -> None:
    host, colon, port = registry, "", ""
    if not _IPV6.match(registry):
        host, colon, port = registry.rpartition(":") if ":" in registry else (registry, "", "")
    if colon and not (port.isdigit() and 0 < int(port[:6]) < 65536):  # noqa: PLR2004 - the range of ports
        raise InvalidReference(text, f"the registry's port {port[:20]!r} is not a number from 1 to 65535")
    if not _IPV6.match(host) and not all(_DOMAIN_LABEL.match(label) for label in host.split(".")):
        raise InvalidReference(text, f"{host[:80]!r} is not a host name", _lowered(text))


def _lowered(text: str) -> str:
    """Return a reference with its name in lower case; a registry that looks like a host keeps its letters, as does a tag."""
    name, _ = _split_tag(text.partition("@")[0])
    first, slash, rest = name.partition("/")
    host = slash and ("." in first or ":" in first)
    return f"{first if host else first.lower()}{slash}{rest.lower()}{text[len(name) :]}"


def _check_repository(text: str, registry: str, repository: str) -> None:
    if not repository:
        raise InvalidReference(text, "the repository is empty")
    if len(registry) + 1 + len(repository) > MAX_NAME_LENGTH:
        raise InvalidReference(text, f"registry and repository have more than {MAX_NAME_LENGTH} characters together")
    for component in repository.split("/"):
        if _PATH_COMPONENT.match(component):
            continue
        if not component:
            raise InvalidReference(
                text, "two slashes in a row, or one at an end", re.sub("/{2,}", "/", text).strip("/")
            )
        if component != component.lower():
            upper = next(c for c in component if c.isupper())
            raise InvalidReference(
                text,
                f"the upper-case letter {upper!r} in {component[:80]!r}",
                _lowered(text),
            )
        raise InvalidReference(
            text, f"{component[:80]!r} is no path component (lower-case letters and digits, joined by . _ __ or -)"
        )


def _tag_fault(tag: str) -> str:
    if not tag:
        return "a colon with no tag after it"
    if len(tag) > 128:  # noqa: PLR2004 - distribution/reference: tag
        return f"the tag has {len(tag)} characters, more than 128"
    return f"the tag {tag[:80]!r} may only have letters, digits, _ . and -, and not begin with . or -"


def _tag_suggestion(name: str, tag: str) -> str:
    return name if not tag else ""
