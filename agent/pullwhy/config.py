"""Settings from a TOML file and the environment into frozen dataclasses; every error names the key, what was expected and the mend."""

from __future__ import annotations

import dataclasses
import tomllib
import typing
from collections.abc import Iterator, Mapping
from dataclasses import field
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeVar

import msgspec

from pullwhy.frozen import frozen

PREFIX: Final = "PULLWHY_"
MAX_BYTES: Final = 1024 * 1024

T = TypeVar("T")

Seconds = Annotated[float, msgspec.Meta(ge=0, le=7 * 86_400)]
Listen = Annotated[
    str, msgspec.Meta(pattern=r"^(\S+:\d{1,5})?$", max_length=300, description="ADDRESS:PORT, or nothing")
]
Target = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^((\[[0-9A-Fa-f:.%]+\]|[^\s/:\[\]]+):\d{1,5})?$",
        max_length=300,
        description="HOST:PORT, without a scheme, or nothing",
    ),
]
RegistryHost = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^(\[[0-9a-fA-F:]+\]|[A-Za-z0-9.-]+)(:\d{1,5})?$", max_length=253, description="HOST or HOST:PORT"
    ),
]
PullSecretName = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?/[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?\Z",
        max_length=317,
        description="NAMESPACE/NAME",
    ),
]
PullSecretNames = Annotated[
    tuple[PullSecretName, ...],
    msgspec.Meta(max_length=16, description='at most 16 names of Secrets, such as ["shop/regcred"]: NAMESPACE/NAME'),
]
Label = Annotated[str, msgspec.Meta(min_length=1, max_length=253)]
Labels = Annotated[
    dict[Label, Annotated[str, msgspec.Meta(max_length=253)]],
    msgspec.Meta(max_length=64, description='at most 64 texts by name, such as { rack = "r1" }'),
]
Reproduce = Literal["safe", "always", "never"]

_KINDS: Final = {str: "a text", bool: "true or false", int: "a whole number", float: "a number"}


class ConfigError(Exception):
    """A setting is wrong or unknown; one line that names where it was read, the key, and what to write instead."""


@frozen
class WatchSettings:
    """What is read for failures."""

    units: tuple[str, ...] = ()
    """Journal units; none: found from the processes of the host."""
    files: tuple[str, ...] = ()
    """Plain log files below the host's root, where kubelet or runtime do not log to the journal."""
    lookback_seconds: Seconds = 600.0
    """How far a first start looks back in the journal, and in a log file."""
    hang_seconds: Seconds = 300.0
    """A pull without an end and without progress for so long is a failure: the runtime wrote no content and began no layer."""
    hang_unseen_seconds: Seconds = 1800.0
    """The same where the runtime's store cannot be read, so that nothing shows progress."""


@frozen
class ReportSettings:
    """Where findings go."""

    address: Target = ""
    """The collector's HOST:PORT; none: findings stay in the outbox."""
    tls: bool = False
    ca: str = ""
    certificate: str = ""
    key: str = ""
    server_name: str = ""
    token_file: str = ""
    """File of the service account's token, read anew for each connection; needs `tls`."""


@frozen
class WalkRequestSettings:
    """Walks that the collector asks for, without a pull."""

    enabled: bool = True
    registries: tuple[RegistryHost, ...] = ()
    """Registries that are walked on request, beside those that the runtime's configuration names or the node has images of."""


@frozen
class StandaloneSettings:
    """The collector that `pullwhy agent --standalone` embeds."""

    http_listen: Listen = "127.0.0.1:8080"
    database: str = ""
    """Empty: `collector.db` in the state directory."""
    retention_days: Annotated[float, msgspec.Meta(gt=0, le=3650)] = 30.0


@frozen
class AgentSettings:
    """`pullwhy agent`. Paths are as this process sees them; what is found by itself is found below `host_root`."""

    node: str = ""
    """The node's name; empty: the host name."""
    cluster: str = ""
    zone: str = ""
    pool: str = ""
    labels: Labels = field(default_factory=dict)
    """What else tells this node from others: shown, and compared between nodes that fail and nodes that do not."""
    state_directory: str = "/var/lib/pullwhy"
    host_root: str = "/"
    """Where the host's root is mounted; nothing outside of it is read."""
    runtime_endpoint: str = ""
    """The CRI socket; empty: the kubelet's own setting, then the known places."""
    runtime_config: str = ""
    """The runtime's configuration file; empty: from its command line."""
    resolv_conf: str = ""
    reproduce: Reproduce = "safe"
    """Whether the runtime itself is asked to pull, see the documentation of reproduction."""
    http_listen: Listen = "127.0.0.1:9464"
    """Health and metrics; empty: none."""
    walks: Annotated[int, msgspec.Meta(ge=1, le=16)] = 2
    """Walks at a time."""
    pull_secrets: PullSecretNames = ()
    """Secrets that are read from the Kubernetes API for walks on behalf of pods of their own namespaces."""
    watch: WatchSettings = field(default_factory=WatchSettings)
    report: ReportSettings = field(default_factory=ReportSettings)
    walk_requests: WalkRequestSettings = field(default_factory=WalkRequestSettings)
    standalone: StandaloneSettings = field(default_factory=StandaloneSettings)


def load(kind: type[T], path: Path | None, environment: Mapping[str, str]) -> T:
    """Return settings of the dataclass `kind`: its defaults, overridden by the file, overridden by the environment.

    A key `a.b` is `PULLWHY_A_B` in the environment, lists separated by commas there, labels as `name=text`. Variables of that prefix that are no
    key are left alone here: Kubernetes makes such from the names of Services. Raises ConfigError.
    """
    document = _read(path) if path else {}
    settings: T = _section(kind, document, (), str(path), environment)
    return settings


def variable(key: str) -> str:
    """Return the name of the dotted `key` in the environment."""
    return PREFIX + key.replace(".", "_").upper()


def keys(kind: type[Any], prefix: str = "") -> Iterator[str]:
    """Yield every key of `kind`, dotted."""
    for name, hint in _hints(kind).items():
        if dataclasses.is_dataclass(hint) and isinstance(hint, type):
            yield from keys(hint, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


def _read(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}; name a readable file with --config") from None
    if len(content) > MAX_BYTES:
        raise ConfigError(f"{path}: more than {MAX_BYTES} bytes, that is no settings file")
    try:
        return tomllib.loads(content.decode())
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 at byte {error.start}; save it as UTF-8") from None
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigError(f"{path}: not TOML: {error}") from None


def _section(
    kind: Any, document: Mapping[str, Any], above: tuple[str, ...], source: str, environment: Mapping[str, str]
) -> Any:
    hints = _hints(kind)
    for name in document:
        if name not in hints:
            raise ConfigError(f"{source}: unknown key {'.'.join((*above, name))!r}{_suggestion(name, hints)}")
    values = {}
    for name, hint in hints.items():
        key = (*above, name)
        if dataclasses.is_dataclass(hint):
            table = document.get(name, {})
            if not isinstance(table, dict):
                raise ConfigError(f"{source}: {'.'.join(key)} is a table, write [{'.'.join(key)}]")
            values[name] = _section(hint, table, key, source, environment)
        elif (given := variable(".".join(key))) in environment:
            values[name] = _from_text(hint, environment[given], f"environment variable {given}")
        elif name in document:
            values[name] = _convert(hint, document[name], f"{source}: {'.'.join(key)}", strict=True)
    return kind(**values)


def _from_text(hint: Any, text: str, where: str) -> Any:
    if hint is PullSecretNames or typing.get_origin(hint) is tuple:
        return _convert(hint, _parts(text), where, strict=False)
    if hint is Labels:
        pairs = [part.partition("=") for part in _parts(text)]
        return _convert(hint, {name: value for name, _, value in pairs}, where, strict=False)
    return _convert(hint, text, where, strict=False)


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _convert(hint: Any, value: Any, where: str, *, strict: bool) -> Any:
    try:
        return msgspec.convert(value, hint, strict=strict)
    except msgspec.ValidationError:
        shown = repr(value) if len(repr(value)) <= 80 else f"{repr(value)[:80]}…"  # noqa: PLR2004 - one line
        raise ConfigError(f"{where}: expected {_expected(hint)}, not {shown}") from None


def _expected(hint: Any) -> str:
    """Return in words what `hint` takes."""
    if typing.get_origin(hint) is Literal:
        return f"one of {', '.join(typing.get_args(hint))}"
    if typing.get_origin(hint) is tuple:
        return _expected_items(typing.get_args(hint)[0])
    if typing.get_origin(hint) is Annotated:
        kind, meta = typing.get_args(hint)
        return meta.description or f"{_KINDS[kind]}{_bounds(meta)}"
    return _KINDS[hint]


def _expected_items(hint: Any) -> str:
    if typing.get_origin(hint) is Annotated:
        return f"a list of texts, each {_expected(hint)}"
    return 'a list of texts, such as ["a", "b"]'


def _bounds(meta: msgspec.Meta) -> str:
    if meta.ge is not None:
        return f" from {meta.ge} to {meta.le}" if meta.le is not None else f" of at least {meta.ge}"
    return f" above {meta.gt}" + ("" if meta.le is None else f" and at most {meta.le}")


def _suggestion(name: str, hints: Mapping[str, Any]) -> str:
    import difflib  # noqa: PLC0415 - an agent that found no error does not keep it in memory

    close = difflib.get_close_matches(name, hints, n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; known here: {', '.join(sorted(hints))}"


def _hints(kind: Any) -> dict[str, Any]:
    hints = typing.get_type_hints(kind, include_extras=True)
    return {each.name: hints[each.name] for each in dataclasses.fields(kind)}
