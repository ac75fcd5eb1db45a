"""`make lab-report`: plays every fault on every generation of containerd and writes docs/lab-report.md."""

import argparse
import dataclasses
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from matrix.catalogue import ALL
from matrix.fault import Fault
from matrix.report import Totals, cells, markdown
from matrix.run import AT_ONCE, GENERATIONS, Generation, Result, belongs, playing

from lab import lab as labs
from lab.errors import LabError
from lab.lab import Lab

REPORT = Path(__file__).resolve().parents[2] / "docs" / "lab-report.md"
START = time.monotonic()


def say(text: str) -> None:
    """Show progress, with the seconds since the start."""
    print(f"[{time.monotonic() - START:6.1f} s] {text}", flush=True)


def tell(result: Result) -> None:
    """Show one result as it comes."""
    mark = "ok   " if result.right else "WRONG"
    name, *rest = cells(result)
    say(f"{result.generation:9} {mark} {name:44} {'  '.join(part for part in rest if part)}")
    if result.trouble:
        print(result.trouble, flush=True)
    elif not result.right and result.seen is not None:
        found = result.seen.finding
        for told in (
            found["summary"],
            found["kubelet"]["last_message"],
            str(found["reproduction"]),
            str(found["factors"]),
        ):
            print(f"           {told}", flush=True)


def play(generation: Generation, faults: Sequence[Fault], at_once: int) -> tuple[list[Result], dict[str, str]]:
    """Play the faults on one generation, in a lab of its own; return the results and the versions of the components."""
    with labs.running() as lab:
        generation = on_hand(lab, generation)
        say(f"{generation.name}: {len(faults)} faults on containerd {generation.containerd}")
        with playing(lab, generation, tell) as player:
            return player.play(faults, at_once), dict(labs.versions(lab.components))


def on_hand(lab: Lab, generation: Generation) -> Generation:
    """Return the generation with a containerd that there is: PULLWHY_LAB_CONTAINERD replaces all by one."""
    known = labs.generations(lab.components)
    if generation.containerd in known:
        return generation
    return dataclasses.replace(generation, containerd=known[-1])


def chosen(names: Sequence[str], generations: Sequence[str]) -> tuple[list[Fault], list[Generation]]:
    """Return the faults whose name holds one of *names*, or all, and the generations; raises LabError where there is none."""
    faults = [fault for fault in ALL if not names or any(name.lower() in fault.name.lower() for name in names)]
    if not faults:
        raise LabError(f"no fault is named like {', '.join(names)}; --list shows all")
    return faults, [each for each in GENERATIONS if not generations or each.name in generations]


def interrupted(_number: int, _frame: FrameType | None) -> None:
    """Leave through the context managers, which clean up."""
    raise KeyboardInterrupt


def arguments(words: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="lab-report", description=__doc__)
    parser.add_argument("fault", nargs="*", help="a part of a fault's name; default: all")
    names = [each.name for each in GENERATIONS]
    parser.add_argument("--generation", "-g", action="append", default=[], choices=names, help="default: each")
    parser.add_argument("--at-once", type=int, default=AT_ONCE, help="faults at once on a node (default: %(default)s)")
    parser.add_argument(
        "--output", type=Path, help="where the report goes (default: docs/lab-report.md for a whole run)"
    )
    parser.add_argument("--list", action="store_true", help="print the faults with what is expected of each")
    return parser.parse_args(words)


def run(options: argparse.Namespace) -> int:
    """Play what is asked for; return 1 where a bar is missed."""
    faults, generations = chosen(options.fault, options.generation)
    if options.list:
        for fault in faults:
            print(f"{fault.name:48} {fault.cause} {fault.stage} {fault.via or ''}")
        return 0
    results: dict[str, list[Result]] = {}
    versions: dict[str, str] = {}
    for generation in generations:
        own = [fault for fault in faults if belongs(fault, generation)]
        results[generation.name], versions = play(generation, own, options.at_once)
    text = markdown(results, versions)
    whole = len(faults) == len(ALL) and len(generations) == len(GENERATIONS)
    target = options.output or (REPORT if whole else None)
    if target is not None:
        target.write_text(text, encoding="utf-8")
    misses = Totals.of([result for found in results.values() for result in found]).misses
    print("\n" + text.partition("\n## ")[0].partition("pull succeeded.")[2].strip() + "\n")
    print("\n".join(f"bar missed: {miss}" for miss in misses) or "every bar is met")
    return 1 if misses else 0


def main(words: Sequence[str] | None = None) -> int:
    """Run the report and leave nothing behind."""
    signal.signal(signal.SIGTERM, interrupted)
    try:
        return run(arguments(words))
    except LabError as error:
        print(f"lab-report: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("lab-report: interrupted; nothing is left behind", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
