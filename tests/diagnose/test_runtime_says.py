"""What the runtime's own log adds to text and walk, and a stall that the walk meets or does not."""

from diagnose.builders import ALL, NOW, UNTIL_MANIFEST, C, S, blob, case, passing, tls, told, trace

from pullwhy.diagnose.case import RuntimeRemark
from pullwhy.diagnose.judge import judge
from pullwhy.model import Confidence, Factor
from pullwhy.trace import BlobResult, TLSFault

UNREAD = RuntimeRemark(
    when=NOW, unit="containerd.service", text="failed to decode hosts.toml", cause=C.RUNTIME_CONFIG_INVALID
)


def test_the_runtimes_word_on_a_file_that_it_could_not_read_explains_what_the_default_host_answers() -> None:
    seen = judge(
        case(
            trace(passing(S.DNS, S.CONNECT), tls(TLSFault.PLAIN_HTTP)),
            told(C.PLAIN_HTTP_REGISTRY, S.TLS),
            remarks=(UNREAD,),
        )
    )
    assert (seen.cause, seen.stage, seen.confidence) == (C.RUNTIME_CONFIG_INVALID, S.CONFIG, Confidence.PROVED)
    by_text = judge(case(hypothesis=told(C.PLAIN_HTTP_REGISTRY, S.TLS), remarks=(UNREAD,)))
    assert (by_text.cause, by_text.confidence) == (C.RUNTIME_CONFIG_INVALID, Confidence.LIKELY)
    other = judge(case(hypothesis=told(C.DISK_FULL, S.STORAGE), remarks=(UNREAD,)))
    assert other.cause is C.DISK_FULL


def test_a_stall_that_the_walk_does_not_meet_differs_here() -> None:
    stalled = told(C.PULL_STALLED, S.BLOB)
    assert Factor.RUNTIME_DIFFERS in judge(case(trace(passing(*ALL)), stalled)).factors
    met = judge(case(trace(passing(*UNTIL_MANIFEST), blob(BlobResult.STALLED)), stalled))
    assert (met.cause, met.confidence) == (C.PULL_STALLED, Confidence.PROVED)
    assert Factor.RUNTIME_DIFFERS not in met.factors
