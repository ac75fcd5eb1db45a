"""Take secrets out of text before it is kept: credentials, tokens, signed URLs, user info and container environments."""

from __future__ import annotations

import re
from typing import Final

from pullwhy.secret import REDACTED

MAX_TEXT: Final = 262_144
"""Characters; what is longer is cut, because no line of a kubelet or runtime that explains a pull is."""

_CUT: Final = " [cut]"

_DUMP_START: Final = "&Container{"
_DUMP_END: Final = "} start failed in pod "
_DUMP_HEAD: Final = re.compile(r"Name:[^,{}]{0,253},Image:[^,{}]{0,4096},")
_ENV_START: Final = "EnvVar{Name:"
_ENV_END: Final = ",ValueFrom:"

_QUOTE: Final = r"(?:\\{0,8}[\"'])"
_KEY: Final = (
    r"(?:password|passwd|pwd|secret|token|auth|authorization|credentials?|signature"
    r"|(?:access|refresh|identity|registry|id|session|security)_?token|(?:api|access|private)_?key)"
)
"""Names that mark their value as a secret."""

_USER_INFO: Final = re.compile(r"(?<=://)[^/\s\"'<>?#]{1,1024}@(?!sha\d)")
_URL_QUERY: Final = re.compile(r"(?<=\?)[^\s\"'<>\\]{1,16384}")
_HARMLESS_PARAMETERS: Final = frozenset(
    {"scope", "service", "ns", "n", "last", "client_id", "grant_type", "fromImage", "tag"}
)
"""Parameters of the distribution API and its token requests; every other value of a URL is dropped."""

# A quoted value ends at the first quote that is escaped as deeply as the opening one.
_JSON_PAIR: Final = re.compile(
    rf"(?is)({_QUOTE}[\w-]{{0,64}}?{_KEY}{_QUOTE}\s{{0,4}}:\s{{0,4}}(\\{{0,8}})\").{{1,16384}}?(?=(?<!\\)\2\"|\Z)"
)
_QUOTED_ASSIGNMENT: Final = re.compile(
    rf"(?is)((?<![?&\w-])[\w-]{{0,64}}?{_KEY}=(\\{{0,8}})\").{{1,16384}}?(?=(?<!\\)\2\"|\Z)"
)
_ASSIGNMENT: Final = re.compile(
    rf"(?i)((?<![?&\w-])[\w-]{{0,64}}?{_KEY}=)(?!\\{{0,8}}[\"'<])[^\s,;&\"'\\\]}})]{{1,16384}}"
)
# The runtime's own "may require authorization: server message: …" is no header: a scheme must follow.
_HEADER: Final = re.compile(
    r"(?i)\b((?:(?:proxy-)?authorization(?=\W{1,12}(?:basic|bearer|digest|negotiate|aws4-hmac-sha256)\b)"
    r"|x-registry-auth|x-identity-token|(?:set-)?cookie|x-amz-security-token)"
    r"\\{0,8}[\"']?\s{0,4}[:=]\s{0,4}\\{0,8}[\[\"']?(?:[a-z0-9-]{5,16}\s{1,4})?)[^\s,;\"'\\\]]{1,16384}"
)
_HEADER_WORDS: Final = ("authorization", "x-registry-auth", "x-identity-token", "cookie", "x-amz-security-token")
_KEY_WORDS: Final = (
    "passw",
    "pwd",
    "secret",
    "token",
    'auth"',
    "auth\\",
    "auth'",
    "auth=",
    "authorization",
    "credential",
    "signature",
    "key",
)
_SCHEME_TOKEN: Final = re.compile(r"(?i)\b(bearer|basic)(\s{1,4})([A-Za-z0-9._~+/-]{12,16384}={0,2})(?![A-Za-z0-9=])")
_WELL_KNOWN: Final = re.compile(
    r"\beyJ[\w-]{8,8192}\.[\w-]{8,8192}(?:\.[\w-]{0,8192})?"  # JSON web token
    r"|\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"
    r"|\b(?:gh[pousr]_|github_pat_|glpat-|gldt-|dckr_pat_)[\w-]{16,512}"
)
_WELL_KNOWN_MARKS: Final = (
    "eyJ",
    "AKIA",
    "ASIA",
    "ghp_",
    "gho_",
    "ghu_",
    "ghs_",
    "ghr_",
    "github_pat_",
    "glpat-",
    "gldt-",
    "dckr_pat_",
)


def redact(text: str) -> str:
    """Return `text` without its secrets; linear in its length, and the same when applied twice.

    Dropped are: header values of Authorization and its kin, bearer and basic tokens, passwords and tokens in JSON or
    `key=value` form, user info of URLs (proxies too), values of URL queries other than those of the registry protocol,
    and the Container struct that kubelets up to 1.33 print with its environment (kuberuntime_manager.go), of which name
    and image remain.
    """
    if len(text) > MAX_TEXT:
        text = text[:MAX_TEXT] + _CUT
    text = _without_environment(_without_container(text))
    if "@" in text and "://" in text:
        text = _USER_INFO.sub(f"{REDACTED}@", text)
    if "?" in text:
        text = _URL_QUERY.sub(_redact_query, text)
    # Most texts hold none of these words; looking for them first costs a hundredth of the expressions.
    lower = text.lower()
    if _holds(lower, _HEADER_WORDS):
        text = _HEADER.sub(_redact_value, text)
    if _holds(lower, _KEY_WORDS):
        for pattern in (_JSON_PAIR, _QUOTED_ASSIGNMENT, _ASSIGNMENT):
            text = pattern.sub(_redact_value, text)
    if "bearer" in lower or "basic" in lower:
        text = _SCHEME_TOKEN.sub(_redact_token, text)
    if _holds(text, _WELL_KNOWN_MARKS):
        text = _WELL_KNOWN.sub(REDACTED, text)
    return text


def _holds(text: str, words: tuple[str, ...]) -> bool:
    for word in words:  # noqa: SIM110 - twice as fast as any(), and every line with a failure passes here
        if word in text:
            return True
    return False


def _without_container(text: str) -> str:
    """Keep name and image of the struct; the environment may hold anything, so the struct ends at its last known end."""
    start = text.find(_DUMP_START)
    if start < 0:
        return text
    start += len(_DUMP_START)
    head = _DUMP_HEAD.match(text, start)
    end = text.rfind(_DUMP_END, start)
    rest = text[end:] if end >= 0 else "}"
    return f"{text[:start]}{head[0] if head else ''}{REDACTED}{rest}"


def _without_environment(text: str) -> str:
    start = text.find(_ENV_START)
    if start < 0:
        return text
    start += len(_ENV_START)
    end = text.rfind(_ENV_END, start)
    return f"{text[:start]}{REDACTED}{text[end:] if end >= 0 else ''}"


def _redact_value(match: re.Match[str]) -> str:
    # What is redacted already stays as it is, so that a second pass changes nothing.
    return match[0] if match[0].endswith((REDACTED, REDACTED[:-1])) else f"{match[1]}{REDACTED}"


def _redact_query(match: re.Match[str]) -> str:
    return "&".join(map(_redact_parameter, match[0].split("&")))


def _redact_parameter(pair: str) -> str:
    key, separator, value = pair.partition("=")
    return f"{key}={REDACTED}" if separator and value and key not in _HARMLESS_PARAMETERS else pair


def _redact_token(match: re.Match[str]) -> str:
    token = match[3]
    looks_random = (
        any(c.isdigit() for c in token) or token.endswith("=") or not (token.islower() or token[1:].islower())
    )
    return f"{match[1]}{match[2]}{REDACTED}" if looks_random else match[0]
