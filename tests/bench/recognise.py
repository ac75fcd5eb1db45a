"""The measured side of the bench: read the kubelet's entries of a stored journal and recognise every failure in them."""

import sys
from pathlib import Path

from pullwhy.watch.failures import Recogniser
from pullwhy.watch.journal import read_stored


def main() -> None:
    """Print how many failures a journal directory holds."""
    recogniser = Recogniser()
    failures = 0
    for line in read_stored(Path(sys.argv[1])):
        failures += len(recogniser.feed(line))
    print(failures)


if __name__ == "__main__":
    main()
