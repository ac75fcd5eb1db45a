"""Variables of the environment that look like settings and are none: a mistyped one would else be silent."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Final

from pullwhy.config import PREFIX, AgentSettings, keys, variable
from pullwhy.text import printable

if TYPE_CHECKING:
    from pullwhy.collector.settings import CollectorSettings

logger = logging.getLogger(__name__)

_OTHERS: Final = frozenset({"PULLWHY_SERVER", "PULLWHY_TOKEN", "PULLWHY_NAMESPACE"})
"""What the commands that ask the collector read."""
_HOST: Final = "_SERVICE_HOST"
_OF_SERVICE: Final = re.compile(r"_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT(_\d+_(TCP|UDP|SCTP)(_\w+)?)?)")


def warn_of_strays(kind: type[AgentSettings | CollectorSettings]) -> None:
    """Log one line for each variable that no command reads; `kind` are the settings that are read here."""
    for line in strays(os.environ, kind):
        logger.warning("environment: %s", line)


def strays(environment: Mapping[str, str], kind: type[AgentSettings | CollectorSettings]) -> Iterator[str]:
    """Yield one sentence for each `PULLWHY_…` variable that no command reads and Kubernetes did not make."""
    given = sorted(name for name in environment if name.startswith(PREFIX))
    services = [name.removesuffix(_HOST) for name in given if name.endswith(_HOST)]
    own = [variable(key) for key in keys(kind)]
    known = {*own, *_OTHERS}
    unknown = [name for name in given if name not in known and not _is_of_service(name, services)]
    if unknown:
        yield from _told(unknown, own)


def _is_of_service(name: str, services: Iterable[str]) -> bool:
    """Whether Kubernetes made the variable from a Service's name (kubelet 1.36: pkg/kubelet/envvars)."""
    return any(_OF_SERVICE.fullmatch(name.removeprefix(service)) for service in services if name.startswith(service))


def _told(unknown: Iterable[str], own: Iterable[str]) -> Iterator[str]:
    import difflib  # noqa: PLC0415 - an agent whose environment is right does not keep it in memory

    from pullwhy.collector.settings import CollectorSettings  # noqa: PLC0415 - likewise

    others = {variable(key) for kind in (AgentSettings, CollectorSettings) for key in keys(kind)}
    tails = [name.removeprefix(PREFIX) for name in own]
    for name in unknown:
        if name not in others:
            close = difflib.get_close_matches(name.removeprefix(PREFIX), tails, n=1)
            hint = f"did you mean {PREFIX}{close[0]}?" if close else "docs/configuration.md has every setting"
            yield f"{printable(name)} is no setting and is not read; {hint}"
