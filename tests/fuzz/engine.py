"""One target under the coverage-guided fuzzer, in a process of its own: `python -m fuzz.engine TARGET [libFuzzer's options]`."""

import sys

import atheris

with atheris.instrument_imports(include=["pullwhy"]):
    from fuzz.catalogue import TARGETS


def main(name: str, arguments: list[str]) -> None:
    """Fuzz until a limit is reached or something breaks; libFuzzer ends the process."""
    atheris.Setup([name, *arguments], TARGETS[name].run)
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
