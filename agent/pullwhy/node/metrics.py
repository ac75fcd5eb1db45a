"""What the agent counts, and how Prometheus is told."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pullwhy import __version__
from pullwhy.model import CauseId

if TYPE_CHECKING:
    from prometheus_client.core import Metric

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

MAX_CERTIFICATE: Final = 32_768
"""Bytes of a certificate's file that are read; its own certificate is the first in it."""

Labels = tuple[tuple[str, str], ...]


class Family:
    """The numbers of one metric; a label's values are a closed set, all present from the start."""

    def __init__(self, name: str, kind: str, text: str, samples: Iterable[Labels] = ((),)) -> None:
        self.name = f"pullwhy_{name}"
        self._kind = kind
        self._text = text
        self._samples: dict[Labels, float] = dict.fromkeys(samples, 0.0)

    def add(self, amount: float = 1, **labels: str) -> None:
        """Count up."""
        key = tuple(labels.items())
        self._samples[key] = self._samples.get(key, 0.0) + amount

    def set(self, value: float, **labels: str) -> None:
        """Set a gauge, or a counter that is kept elsewhere."""
        self._samples[tuple(labels.items())] = value

    def get(self, **labels: str) -> float:
        """Return one sample's value."""
        return self._samples[tuple(labels.items())]

    def metric(self) -> Metric:
        """Return the metric as the client library knows it."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily  # noqa: PLC0415 - see Metrics.text

        kind = CounterMetricFamily if self._kind == "counter" else GaugeMetricFamily
        names = [name for name, _ in next(iter(self._samples))]
        metric = kind(self.name, self._text, labels=names)
        for labels, value in self._samples.items():
            metric.add_metric([text for _, text in labels], value)
        return metric


def _each(name: str, values: Iterable[str]) -> list[Labels]:
    return [((name, value),) for value in values]


class Metrics:
    """Everything that the agent counts."""

    def __init__(self) -> None:
        causes = _each("cause", CauseId)
        self.info = Family("agent_info", "gauge", "The agent's version.", [(("version", __version__),)])
        self.info.set(1, version=__version__)
        self.lines = Family("lines_total", "counter", "Log lines that may be about a pull.")
        self.failures = Family("pull_failures_total", "counter", "Failed pulls that the kubelet logged.")
        self.findings = Family("findings_total", "counter", "Findings that became active.", causes)
        self.active = Family("findings_active", "gauge", "Findings that are active now.", causes)
        self.incidents = Family("incidents", "gauge", "Containers that cannot have their image now.")
        self.unconfirmed = Family(
            "incidents_unconfirmed_total",
            "counter",
            "Failures whose pod the runtime does not know; they were not told.",
        )
        self.dropped_incidents = Family("incidents_dropped_total", "counter", "Incidents beyond the bound, dropped.")
        outcomes = _each("outcome", ("ok", "error"))
        self.walks = Family("walks_total", "counter", "Walks of the pull path.", outcomes)
        self.walk_seconds = Family("walk_seconds_total", "counter", "Time spent in walks.")
        outcomes = _each("outcome", ("Failed", "Succeeded", "Skipped", "Error"))
        self.reproductions = Family("reproductions_total", "counter", "Pulls asked of the runtime.", outcomes)
        outcomes = _each("outcome", ("passes", "fails", "undecided", "refused", "cancelled", "dropped"))
        self.walk_requests = Family("walk_requests_total", "counter", "Walks that the collector asked for.", outcomes)
        answers = _each("answer", ("now", "wait", "adopt", "none"))
        self.permits = Family("permits_total", "counter", "Answers to the question when to walk what fails.", answers)
        self.suppressed = Family("journal_suppressed_total", "counter", "Log lines that journald dropped.")
        self.gaps = Family("journal_gaps_total", "counter", "Times that lines were lost between two reads.")
        self.outbox = Family("outbox_reports", "gauge", "Reports that wait for the collector.")
        self.outbox_dropped = Family("outbox_dropped_total", "counter", "Reports lost because the outbox was full.")
        self.connected = Family("collector_connected", "gauge", "Whether the collector is connected.")
        self.certificate_end = Family(
            "report_certificate_not_after_timestamp_seconds",
            "gauge",
            "End of the agent's own certificate; +Inf without one.",
        )
        self.certificate_end.set(math.inf)
        self.acknowledged = Family("reports_acknowledged_total", "counter", "Reports that the collector stored.")
        self.refused = Family("reports_refused_total", "counter", "Reports that the collector refused for good.")
        self.impairments = Family("impairments", "gauge", "What this agent cannot see or do, see `pullwhy doctor`.")
        self.memory = Family("process_resident_memory_bytes", "gauge", "Resident memory of the agent's own process.")
        self.cpu = Family("process_cpu_seconds_total", "counter", "CPU time of the agent's own process.")
        self.restarts = Family("task_restarts_total", "counter", "Tasks of the agent that failed and were restarted.")

    def set_active(self, counts: Mapping[CauseId, int]) -> None:
        """Set how many findings are active, by cause."""
        for cause in CauseId:
            self.active.set(counts.get(cause, 0), cause=cause)

    def look_at_certificate(self, path: str) -> None:
        """Set when the certificate in a file ends."""
        from pullwhy.probe.validity import validity  # noqa: PLC0415 - see text

        found = None
        with contextlib.suppress(OSError, UnicodeDecodeError), Path(path).open("rb") as file:
            found = validity(file.read(MAX_CERTIFICATE).decode("ascii"))
        self.certificate_end.set(found[1].timestamp() if found else math.inf)

    def collect(self) -> Iterator[Metric]:
        """Yield every metric (the collector's side of prometheus_client.registry)."""
        import psutil  # noqa: PLC0415 - see Metrics.text

        process = psutil.Process()
        times = process.cpu_times()
        self.memory.set(process.memory_info().rss)
        self.cpu.set(times.user + times.system)
        yield from (each.metric() for each in vars(self).values() if isinstance(each, Family))

    def text(self) -> str:
        """Return the whole exposition.

        The libraries are loaded when somebody asks: an agent that nobody scrapes need not hold 3 MiB for it, most of them for
        prometheus_client's own HTTP server.
        """
        from prometheus_client import CollectorRegistry, generate_latest  # noqa: PLC0415

        registry = CollectorRegistry()
        registry.register(self)
        return generate_latest(registry).decode()
