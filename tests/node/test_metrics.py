import math
from pathlib import Path

import trustme
from cryptography import x509
from prometheus_client.parser import text_string_to_metric_families

from pullwhy.model import CauseId
from pullwhy.node.metrics import Metrics


def test_the_exposition_is_what_prometheus_reads() -> None:
    metrics = Metrics()
    metrics.findings.add(cause=CauseId.TAG_NOT_FOUND)
    metrics.lines.add(123_456_789)
    metrics.set_active({CauseId.TAG_NOT_FOUND: 2})
    families = {family.name: family for family in text_string_to_metric_families(metrics.text())}
    assert all(name.startswith("pullwhy_") for name in families)
    counted = {sample.labels["cause"]: sample.value for sample in families["pullwhy_findings"].samples}
    assert counted.keys() == {cause.value for cause in CauseId}
    assert (counted["TagNotFound"], counted["DiskFull"]) == (1, 0)
    assert {s.value for s in families["pullwhy_findings_active"].samples} == {0, 2}
    assert [sample.value for sample in families["pullwhy_lines"].samples] == [123_456_789]


def test_the_agent_tells_what_it_costs() -> None:
    families = {family.name: family for family in text_string_to_metric_families(Metrics().text())}
    (memory,) = families["pullwhy_process_resident_memory_bytes"].samples
    (seconds,) = families["pullwhy_process_cpu_seconds"].samples
    assert memory.value > 1_000_000
    assert seconds.value > 0


def test_the_agent_tells_when_its_certificate_ends(tmp_path: Path) -> None:
    file, metrics = tmp_path / "cert", Metrics()
    assert metrics.certificate_end.get() == math.inf
    leaf = trustme.CA().issue_cert("node-a").cert_chain_pems[0]
    leaf.write_to_path(str(file))
    metrics.look_at_certificate(str(file))
    ends = x509.load_pem_x509_certificate(leaf.bytes()).not_valid_after_utc.timestamp()
    assert metrics.certificate_end.get() == ends
    file.unlink()
    metrics.look_at_certificate(str(file))
    assert metrics.certificate_end.get() == math.inf
