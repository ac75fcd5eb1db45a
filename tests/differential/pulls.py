"""Pulls images over CRI, one after the other, and prints what the runtime said of each as JSON. Runs on a node of the lab."""

import asyncio
import json
import sys

from pullwhy.runtime.cri import CRIClient, CRIError

SOCKET = "/run/containerd/containerd.sock"


async def main(images: list[str]) -> None:
    """Pull all and print the answers."""
    said = {}
    async with CRIClient(SOCKET) as client:
        for image in images:
            try:
                await client.pull(image, 30)
            except CRIError as error:
                said[image] = error.message
            else:
                said[image] = ""
    print(json.dumps(said))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
