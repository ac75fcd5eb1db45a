"""Write a large journal in export format: what a busy node's journal looks like, with few pull failures among many lines."""

import random
import sys
from collections.abc import Iterator
from typing import IO, Final

KUBELET_SHARE: Final = 0.10
FAILURE_SHARE: Final = 0.01
"""Of the kubelet's lines; a bad day."""

_NOISE: Final = (
    (
        'I1122 08:{m:02}:{s:02}.{u:06}    1201 kubelet.go:2421] "SyncLoop (PLEG): event for pod" pod="shop/checkout-{n}" '
        'event={{"ID":"0c1f{n:032x}","Type":"ContainerStarted","Data":"{n:064x}"}}'
    ),
    'I1122 08:{m:02}:{s:02}.{u:06}    1201 scope.go:117] "RemoveContainer" containerID="{n:064x}"',
    (
        'I1122 08:{m:02}:{s:02}.{u:06}    1201 reconciler_common.go:218] "operationExecutor.MountVolume started for volume \\"config-{n}\\" '
        '(UniqueName: \\"kubernetes.io/configmap/{n:032x}-config\\") pod \\"checkout-{n}\\" (UID: \\"{n:032x}\\") " pod="shop/checkout-{n}"'
    ),
    (
        'E1122 08:{m:02}:{s:02}.{u:06}    1201 pod_workers.go:1301] "Error syncing pod, skipping" err="failed to \\"StartContainer\\" for '
        '\\"app\\" with CrashLoopBackOff: \\"back-off 5m0s restarting failed container=app pod=checkout-{n}_shop({n:032x})\\"" '
        'pod="shop/checkout-{n}" podUID="{n:032x}"'
    ),
    (
        'I1122 08:{m:02}:{s:02}.{u:06}    1201 prober.go:107] "Probe failed" probeType="Readiness" pod="shop/checkout-{n}" podUID="{n:032x}" '
        'containerName="app" probeResult="failure" output="Get \\"http://10.244.1.{n}:8080/ready\\": context deadline exceeded"'
    ),
    'I1122 08:{m:02}:{s:02}.{u:06}    1201 log.go:25] "Finished parsing log file" path="/var/log/pods/shop_checkout-{n}/app/0.log"',
)
_FAILURE: Final = (
    'E1122 08:{m:02}:{s:02}.{u:06}    1201 pod_workers.go:1301] "Error syncing pod, skipping" err="failed to \\"StartContainer\\" for '
    '\\"app\\" with ErrImagePull: \\"failed to pull and unpack image \\\\\\"registry.shop.example/checkout:{n}\\\\\\": failed to resolve '
    'image: registry.shop.example/checkout:{n}: not found\\"" pod="shop/checkout-{n}" podUID="{n:032x}"'
)
_OTHER_UNITS: Final = (
    "sshd.service",
    "cron.service",
    "systemd-networkd.service",
    "chronyd.service",
    "node-exporter.service",
)


_OTHER: Final = "connection from 10.0.{m}.{s} port {u} accepted for session {n:x}"


def quiet_lines(count: int, *, kubelet: bool) -> Iterator[str]:
    """Yield `count` messages without a pull failure, of the kubelet or of another unit."""
    rng = random.Random(7)
    for index in range(count):
        template = rng.choice(_NOISE) if kubelet else _OTHER
        yield template.format(n=rng.randrange(200), m=index // 60000 % 60, s=index // 1000 % 60, u=index)


def entries(count: int, seed: int) -> Iterator[str]:
    """Yield `count` entries of 23 fields each."""
    rng = random.Random(seed)
    for index in range(count):
        kubelet = rng.random() < KUBELET_SHARE
        unit = "kubelet.service" if kubelet else rng.choice(_OTHER_UNITS)
        template = _OTHER
        if kubelet:
            template = _FAILURE if rng.random() < FAILURE_SHARE else rng.choice(_NOISE)
        moment = {"m": index // 60000 % 60, "s": index // 1000 % 60, "u": index % 1000000}
        message = template.format(n=rng.randrange(200), **moment)
        yield _entry(index, unit, message)


def _entry(index: int, unit: str, message: str) -> str:
    name = unit.removesuffix(".service")
    return (
        f"__REALTIME_TIMESTAMP={1795335652115394 + index * 1000}\n__MONOTONIC_TIMESTAMP={2758697968 + index * 1000}\n"
        "_BOOT_ID=d221618f532741da877d81c349543a08\n_MACHINE_ID=3d1219c7c4c5404aaa1f6d2a48adfda4\n_HOSTNAME=node-a\n"
        f"_RUNTIME_SCOPE=system\nPRIORITY=6\nSYSLOG_FACILITY=3\n_UID=0\n_GID=0\n_TRANSPORT=stdout\n_CAP_EFFECTIVE=1ffffffffff\n"
        f"_SELINUX_CONTEXT=unconfined\n_SYSTEMD_SLICE=system.slice\nSYSLOG_IDENTIFIER={name}\n_SYSTEMD_UNIT={unit}\n"
        f"_SYSTEMD_CGROUP=/system.slice/{unit}\n_SYSTEMD_INVOCATION_ID=5e0c4bb7f0f94e5ab0b6c1ce3bd2d6d1\n"
        f"_STREAM_ID=bb799f33268746829a7e8517fef98{len(name):03}\n_PID=1201\n_COMM={name}\n_EXE=/usr/bin/{name}\n"
        f"_CMDLINE=/usr/bin/{name} --config=/etc/{name}.conf\nMESSAGE={message}\n\n"
    )


def write(out: IO[bytes], count: int, seed: int = 7) -> None:
    """Write the export stream to `out`."""
    batch: list[str] = []
    for entry in entries(count, seed):
        batch.append(entry)
        if len(batch) == 5000:
            out.write("".join(batch).encode())
            batch.clear()
    out.write("".join(batch).encode())


if __name__ == "__main__":
    write(sys.stdout.buffer, int(sys.argv[1]))
