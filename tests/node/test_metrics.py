from prometheus_client.parser import text_string_to_metric_families

from pullwhy.model import CauseId
from pullwhy.node.metrics import Family, Metrics


def test_the_exposition_is_what_prometheus_reads() -> None:
    metrics = Metrics()
    metrics.findings.add(cause=CauseId.TAG_NOT_FOUND)
    metrics.set_active({CauseId.TAG_NOT_FOUND: 2})
    families = {family.name: family for family in text_string_to_metric_families(metrics.text())}
    assert all(name.startswith("pullwhy_") for name in families)
    counted = {sample.labels["cause"]: sample.value for sample in families["pullwhy_findings"].samples}
    assert counted.keys() == {cause.value for cause in CauseId}
    assert (counted["TagNotFound"], counted["DiskFull"]) == (1, 0)
    assert {s.value for s in families["pullwhy_findings_active"].samples} == {0, 2}


def test_large_counts_keep_every_digit() -> None:
    family = Family("x_total", "counter", "Text.")
    family.set(123_456_789)
    family.set(123_456_789, outcome="ok")
    assert list(family.lines())[2:] == ["pullwhy_x_total 123456789", 'pullwhy_x_total{outcome="ok"} 123456789']


def test_a_label_cannot_break_out_of_its_quotes() -> None:
    family = Family("x", "gauge", "Text.", ())
    family.set(1, version='a"b\\c\nd')
    (sample,) = next(iter(text_string_to_metric_families("\n".join(family.lines()) + "\n"))).samples
    assert sample.labels["version"] == 'a"b\\c\nd'
