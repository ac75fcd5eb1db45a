"""A rule over trust that the runtime does not have yet: it loads the system's store once, at its first handshake."""

from __future__ import annotations

from pullwhy.diagnose.case import Case
from pullwhy.diagnose.rules.verdict import Verdict, host_of
from pullwhy.model import CauseId, Hypothesis, Outcome, Stage
from pullwhy.trace import TLSFault

_UNTRUSTED = frozenset({CauseId.CERTIFICATE_UNTRUSTED, CauseId.CERTIFICATE_CHAIN_INCOMPLETE})
_FAULTS = frozenset({TLSFault.UNTRUSTED, TLSFault.CHAIN_INCOMPLETE})


def trust_not_loaded(case: Case, told: Hypothesis | None) -> Verdict | None:
    """Read a runtime that does not trust what the walk does, with a store that was changed after the runtime started.

    Source: Go 1.27, crypto/x509/root.go: systemRoots is made once.
    """
    if told is None or told.cause not in _UNTRUSTED or told.stage is not Stage.TLS or case.trace is None:
        return None
    results = case.trace.results
    changed = next((result for result in results if result.stale_trust), None)
    shaken = [result for result in results if result.stage is Stage.TLS and result.endpoint is not None]
    refused = any(result.tls is not None and result.tls.fault in _FAULTS for result in shaken)
    passed = next((result for result in shaken if result.outcome is Outcome.PASSED), None)
    if changed is None or refused or passed is None:
        return None
    arguments = {"host": host_of(passed), "stale_trust": changed.target}
    return Verdict(CauseId.CERTIFICATE_UNTRUSTED, Stage.TLS, told.via, changed, arguments=arguments)
