"""All faults of the matrix, in the order of the pull path, and the core that stands for them in a quick run."""

from matrix import (
    auth,
    blob,
    config,
    connect,
    credentials,
    dns,
    goeyes,
    image,
    mirror,
    proxy,
    reference,
    registry,
    runtime,
    storage,
    tls,
)
from matrix.fault import Fault

AREAS = {
    "reference": reference.FAULTS,
    "config": config.FAULTS,
    "mirror": mirror.FAULTS,
    "proxy": proxy.FAULTS,
    "dns": dns.FAULTS,
    "connect": connect.FAULTS,
    "tls": tls.FAULTS,
    "go": goeyes.FAULTS,
    "auth": auth.FAULTS,
    "credentials": credentials.FAULTS,
    "image": image.FAULTS,
    "registry": registry.FAULTS,
    "blob": blob.FAULTS,
    "storage": storage.FAULTS,
    "runtime": runtime.FAULTS,
}
"""The faults of each area; a new area is entered here."""

ALL: tuple[Fault, ...] = tuple(fault for faults in AREAS.values() for fault in faults)
BY_NAME = {fault.name: fault for fault in ALL}

CORE = tuple(
    BY_NAME[name]
    for name in (
        "tag missing",
        "latest assumed",
        "digest missing",
        "repository missing",
        "platform missing",
        "credentials missing",
        "credentials rejected",
        "CA missing",
        "certificate expired",
        "certificate for another name",
        "plain HTTP",
        "name unknown",
        "nameserver fails",
        "connection refused",
        "connection blocked",
        "network unreachable",
        "rate limit",
        "registry overloaded",
        "login page",
        "schema 1",
        "layer missing",
        "config altered",
        "blob host unknown",
        "registry away",
        "reference invalid",
        "policy Never",
        "CA file missing",
    )
)
