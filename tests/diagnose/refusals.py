"""Refusals, and what was known of credentials when they came."""

from dataclasses import replace
from typing import Any

from diagnose.builders import (
    UNTIL_TLS,
    auth,
    case,
    failure,
    passing,
    result,
    told,
    trace,
)

from pullwhy.access import CredentialFacts
from pullwhy.diagnose.case import Case
from pullwhy.diagnose.remedies.rendering import render
from pullwhy.model import (
    CauseId,
    Diagnosis,
    HintKind,
    KubeletHint,
    Outcome,
    Stage,
)
from pullwhy.trace import AuthResult, Trace

C, S, K = CauseId, Stage, HintKind
ANONYMOUS = "failed to authorize: failed to fetch anonymous token: unexpected status: 401 Unauthorized"
BARE_401 = told(C.CREDENTIALS_MISSING, S.AUTH, C.CREDENTIALS_REJECTED, C.ACCESS_DENIED_OR_NOT_FOUND)
REFUSED_401 = auth(AuthResult.NO_CREDENTIALS)


def refused(
    *said: KubeletHint, access: CredentialFacts | None = None, walk: Trace | None = None, **fields: Any
) -> Case:
    """Return a pull that the registry refused to an asker without credentials; the walk too, unless another is given."""
    text = replace(failure(ANONYMOUS), hints=said)
    known = [result(S.AUTH, Outcome.SKIPPED, endpoint=None, access=access)] if access else []
    seen = walk or trace(known, passing(*UNTIL_TLS), REFUSED_401)
    fields.setdefault("failure", text)
    return case(seen, fields.pop("hypothesis", BARE_401), **fields)


def facts_of(diagnosis: Diagnosis) -> str:
    return "\n".join(fact.fact for fact in diagnosis.evidence)


def remedy(diagnosis: Diagnosis) -> str:
    rendered = render(diagnosis.remedy)
    return "\n".join((rendered.text, *(command.run for command in rendered.commands)))
