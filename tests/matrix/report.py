"""Results as Markdown: each fault with its answer, the totals against their bars, and what was taken for what."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from matrix.run import Result

RIGHT_BAR, PROVED_BAR = 0.99, 0.95
COLUMNS = (
    "fault",
    "cause",
    "stage",
    "via",
    "confidence",
    "reproduction",
    "seconds",
    "requests",
    "remedy",
    "remedy executed",
)


@dataclass(frozen=True, slots=True)
class Totals:
    """The figures of one generation, or of all."""

    faults: int
    right: int
    proved: int
    wrong_remedies: int
    mended: int
    mendable: int
    seconds: tuple[float, ...]

    @classmethod
    def of(cls, results: Sequence[Result]) -> "Totals":
        """Count *results*."""
        return cls(
            len(results),
            sum(result.right for result in results),
            sum(result.confidence == "Proved" for result in results),
            sum(result.wrong_remedy for result in results),
            sum(result.mended is not None and not result.mended.fault for result in results),
            sum(result.fault.mend is not None for result in results),
            tuple(sorted(result.seen.after for result in results if result.seen and result.right)),
        )

    @property
    def misses(self) -> list[str]:
        """Which bars are missed, with the figures."""
        found = []
        if self.right < RIGHT_BAR * self.faults:
            found.append(f"right cause and stage: {share(self.right, self.faults)}, at least {RIGHT_BAR:.0%} wanted")
        if self.proved < PROVED_BAR * self.faults:
            found.append(f"Proved: {share(self.proved, self.faults)}, at least {PROVED_BAR:.0%} wanted")
        if self.wrong_remedies:
            found.append(f"wrong remedies: {self.wrong_remedies}, none wanted")
        if self.mended < self.mendable:
            found.append(f"local remedies that work: {self.mended} of {self.mendable}, all wanted")
        return found

    def percentile(self, part: float) -> str:
        """Return the seconds below which a *part* of the right answers came."""
        if not self.seconds:
            return "none"
        return f"{self.seconds[min(len(self.seconds) - 1, int(part * len(self.seconds)))]:.1f} s"


def share(part: int, whole: int) -> str:
    """Return "98.1 % (105 of 107)"."""
    return f"{100 * part / whole:.1f} % ({part} of {whole})" if whole else "none played"


def markdown(results: Mapping[str, Sequence[Result]], versions: Mapping[str, str]) -> str:
    """Return the whole report; *results* are by generation."""
    lines = [*HEAD, *_summary(results), ""]
    lines += [f"Components: {', '.join(f'{name} {version}' for name, version in versions.items())}.", ""]
    for generation, found in results.items():
        lines += [f"## containerd {generation}", "", *_table(found), ""]
        lines += ["What was taken for what:", "", *_confusion(found), ""]
        lines += [*_troubles(found)]
    return "\n".join(lines).rstrip() + "\n"


HEAD = (
    "# Lab report",
    "",
    "Written by `make lab-report`: every fault is made on real components, for each generation of containerd and for both ways in which 2.1",
    "pulls; an agent and a collector, run as their users run them, say what it is. The expected cause follows from how the fault was made; answers",
    "that are not as expected are marked and count. *Seconds* go from the kubelet's line to the answer at the collector; *requests* are those",
    "of the walk that reached a registry. *Remedy executed*: the lab ran the finding's own commands on the node, and the kubelet's next",
    "pull succeeded.",
    "",
)


def _summary(results: Mapping[str, Sequence[Result]]) -> Iterable[str]:
    head = (
        "containerd",
        "right cause and stage",
        "Proved",
        "wrong remedies",
        "local remedies that work",
        "median",
        "99 %",
    )
    yield _row(head)
    yield _row("---" for _ in head)
    for generation, found in results.items():
        totals = Totals.of(found)
        yield _row(
            (
                generation,
                share(totals.right, totals.faults),
                share(totals.proved, totals.faults),
                str(totals.wrong_remedies),
                f"{totals.mended} of {totals.mendable}",
                totals.percentile(0.5),
                totals.percentile(0.99),
            )
        )


def _table(results: Sequence[Result]) -> Iterable[str]:
    yield _row(COLUMNS)
    yield _row("---" for _ in COLUMNS)
    for result in results:
        yield _row(cells(result))


def cells(result: Result) -> list[str]:
    """Return one result as the row of a table."""
    cause, stage, via = result.told
    fault = result.fault
    if not result.right:
        wanted = " ".join(filter(None, (fault.cause, fault.stage, f"via {fault.via}" if fault.via else "")))
        factors = f" with {', '.join(fault.factors)}" if fault.factors else ""
        cause = f"**{cause}**, expected {wanted}{factors}"
    return [
        fault.name,
        cause,
        stage,
        via or "",
        result.confidence,
        result.reproduction,
        f"{result.seen.after:.1f}" if result.seen else "",
        str(result.requests),
        f"**{result.remedy}**" if result.wrong_remedy else result.remedy,
        str(result.mended or ("**not applied**" if fault.mend is not None else "")),
    ]


def _confusion(results: Sequence[Result]) -> Iterable[str]:
    """Yield the confusion matrix as its cells that are not empty: the diagonal in one figure for each cause."""
    found = Counter((result.fault.cause, result.told[0]) for result in results)
    causes = sorted({wanted for wanted, _ in found})
    yield _row(("made", "found as such", "found as another"))
    yield _row(("---", "---", "---"))
    for cause in causes:
        others = [f"{told} {count}" for (wanted, told), count in sorted(found.items()) if wanted == cause != told]
        yield _row((cause, str(found[cause, cause]), ", ".join(others)))


def _troubles(results: Sequence[Result]) -> Iterable[str]:
    for result in results:
        if result.trouble:
            yield f"- {result.fault.name} could not be played: {' '.join(result.trouble.split())[:400]}"


def _row(values: Iterable[str]) -> str:
    return f"| {' | '.join(value.replace('|', '¦') for value in values)} |"
