"""What somebody who may see only some namespaces is shown: findings with a pod of theirs, and of other pods not even the name."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, NoReturn, cast

from starlette.exceptions import HTTPException

from pullwhy.access import API_SOURCE
from pullwhy.collector.access.readers import Right, Sight
from pullwhy.collector.api.asker import Asker
from pullwhy.collector.api.contract import FindingPage, FleetFinding, Problem, ProblemPage
from pullwhy.collector.api.findings import documents
from pullwhy.collector.api.operation import Backend, Operation
from pullwhy.collector.api.problems import MOST_OWNERS
from pullwhy.collector.denials import Denial, Denied
from pullwhy.collector.fleet import Purpose, StoredProblem
from pullwhy.collector.records import Query
from pullwhy.text import printable

HIDDEN: Final = "[hidden]"
EVERYBODYS: Final = frozenset({"watch"})
"""Operations whose answers name nothing."""
BY_NAMESPACE: Final = frozenset({"listFindings", "listProblems"})
"""Operations that are asked of one namespace."""
SHARED: Final = frozenset({"getFinding", "getProblem"})
BY_ID: Final = SHARED | {"getProbe"}
"""Operations whose answers tell whether they may be seen."""
_SILENCE: Final = "/api/v1/problems/{id}/silence"
_PROBE: Final = "/api/v1/probes/{id}"
MOST_LOOKED_AT: Final = 5
"""Findings with a pod of theirs that are looked at for one that can be shown: not one of another version."""


async def admit(asker: Asker, operation: Operation, namespace: str) -> None:
    """Raise Denied for what somebody may not change, or may not see at all."""
    if operation.method != "GET":
        right: Right = "silences" if "/silence" in operation.path else "probes"
        if not await asker.may(right):
            raise Denied(
                Denial.FORBIDDEN, f"{asker.name} may not do this: it takes the right to create {right}", asker.name
            )
        return
    if asker.sight is None or operation.id in EVERYBODYS | BY_ID:
        return
    if operation.id not in BY_NAMESPACE:
        raise Denied(
            Denial.FORBIDDEN, f"{asker.name} may see some namespaces only: this is for who may see all", asker.name
        )
    if not namespace:
        raise Denied(
            Denial.FORBIDDEN, f"{asker.name} may not see all namespaces: name one with ?namespace= (-n)", asker.name
        )
    if not await asker.sight.of([namespace]):
        raise Denied(
            Denial.FORBIDDEN,
            f"{asker.name} may not see findings of the namespace '{printable(namespace, 253)}'",
            asker.name,
        )


async def before(asker: Asker, sight: Sight, operation: Operation, backend: Backend, object_id: str) -> None:
    """Raise HTTPException 404 where this one changes a problem that is not theirs, or asks about or ends somebody else's probe."""
    if operation.path == _SILENCE:
        found = await backend.store.problem(object_id, "")
        if not found or not await _last(
            backend, found[0].key.cluster, object_id, await _seen(sight, backend, found[0])
        ):
            nothing(operation)
    if operation.path == _PROBE:
        probe = await backend.store.probe(object_id)
        if not probe or (probe[0].purpose, probe[0].asked_by) != (Purpose.PROBE, asker.name):
            nothing(operation)


async def restrict(sight: Sight, operation: Operation, backend: Backend, namespace: str, answer: Any) -> Any:
    """Return the answer, about a namespace where one was asked for, as this one may see it.

    Raises HTTPException 404 where nothing of it may be seen.
    """
    if isinstance(answer, FindingPage):
        # No other: of all that a page's findings name, more than can be asked about, this one may not be among the first.
        seen = await sight.of([namespace])
        return FindingPage([shown for each in answer.items if (shown := cut(each, seen))], answer.next)
    if isinstance(answer, ProblemPage):
        seen = await sight.of([namespace])
        found = [await _theirs(backend, each, seen) for each in answer.items]
        return ProblemPage(cast("list[Problem]", [each for each in found if each]), answer.next)
    if operation.id == "getFinding":
        return cut(answer, await sight.of(_namespaces([answer]))) or nothing(operation)
    if operation.id == "getProblem":
        return await _whole(sight, backend, answer) or nothing(operation)
    return answer


async def _whole(sight: Sight, backend: Backend, problem: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return one problem with what is theirs of it; None where nothing is."""
    for stored in await backend.store.problem(problem["id"], problem["cluster"]):
        seen = await _seen(sight, backend, stored)
        nodes = await backend.store.failing(stored.key, sorted(seen)) if seen else []
        return await _theirs(backend, {**problem, "failing_nodes": nodes}, seen)
    return None


async def _theirs(backend: Backend, problem: Mapping[str, Any], seen: frozenset[str]) -> dict[str, Any] | None:
    """Return a problem with the last finding that has a pod of theirs as its example; None where there is none."""
    example = await _last(backend, problem["cluster"], problem["id"], seen)
    if example is None:
        return None
    owners = dict.fromkeys(f"{pod['namespace']}/{pod['owner']}" for pod in example["pods"] if pod["owner"])
    told: dict[str, Any] = {key: example[key] for key in ("stage", "confidence", "summary")}
    if "finding" in problem:
        told["finding"] = example
    if (canary := problem.get("canary")) and canary.node not in {example["node"], *problem.get("failing_nodes", ())}:
        told["canary"] = replace(canary, node=HIDDEN)
    return {**problem, **told, "example": example["id"], "owners": list(owners)[:MOST_OWNERS]}


async def _seen(sight: Sight, backend: Backend, problem: StoredProblem) -> frozenset[str]:
    """Return the namespaces of a problem that they may see."""
    return await sight.of(await backend.store.namespaces(problem.key))


async def _last(backend: Backend, cluster: str, problem_id: str, seen: frozenset[str]) -> FleetFinding | None:
    """Return the finding of a problem that was seen last of those with a pod of these namespaces, as it may be seen."""
    if not seen:
        return None
    query = Query(cluster=cluster, problem=problem_id, namespaces=sorted(seen), limit=MOST_LOOKED_AT)
    found = documents(await backend.store.findings(query))
    return next((shown for each in found if (shown := cut(each, seen))), None)


def cut(finding: FleetFinding, seen: frozenset[str]) -> FleetFinding | None:
    """Return a finding with the pods of the namespaces in `seen` alone, and without what names others; None where none is left."""
    pods = [pod for pod in finding["pods"] if pod["namespace"] in seen]
    if not pods:
        return None
    others = [pod for pod in finding["pods"] if pod["namespace"] not in seen]
    if not others:
        return finding
    hide = _hider([(pod["namespace"], pod["name"], pod["uid"]) for pod in others])
    # The kubelet's last message is of the most recent pod, whoever's that is.
    kubelet = {**finding["kubelet"], "last_message": ""}
    shown = {key: value if key in _OURS else hide(value) for key, value in finding.items()}
    shown["evidence"] = [
        fact for fact in finding["evidence"] if fact["source"] != API_SOURCE or _is_of(fact["fact"], seen)
    ]
    shown["evidence"] = hide(shown["evidence"])
    return cast("FleetFinding", {**shown, "pods": pods, "kubelet": kubelet})


_OURS: Final = frozenset({"id", "node", "image", "registry", "pods", "kubelet"})


def _is_of(fact: str, seen: frozenset[str]) -> bool:
    """Return whether what the Kubernetes API told is of a pod or Secret in one of these namespaces: it names secrets without theirs."""
    return fact.startswith(tuple(f"{kind} {namespace}/" for namespace in seen for kind in ("pod", "Secret")))


def _hider(others: Sequence[tuple[str, str, str]]) -> Callable[[Any], Any]:
    words = {re.escape(uid) for _, _, uid in others if uid}
    for namespace, name, _ in others:
        words |= {rf"{re.escape(namespace)}/[\w.-]+", re.escape(f"{name}_{namespace}"), re.escape(name)}
    pattern = re.compile(rf"(?<![\w.:/@-])(?:{'|'.join(sorted(words, key=len, reverse=True))})(?![\w:/@-])")

    def hide(value: Any) -> Any:
        if isinstance(value, str):
            return pattern.sub(HIDDEN, value)
        if isinstance(value, dict):
            return {key: hide(each) for key, each in value.items()}
        return [hide(each) for each in value] if isinstance(value, list | tuple) else value

    return hide


def _namespaces(findings: Iterable[FleetFinding]) -> set[str]:
    return {pod["namespace"] for each in findings for pod in each["pods"]}


def nothing(operation: Operation) -> NoReturn:
    """Raise HTTPException 404, whose text is the same for what is not there and for what may not be seen."""
    if operation.path == _PROBE:
        raise HTTPException(404, "no probe of this id is known here that you asked for")
    kind = "finding" if operation.id == "getFinding" else "problem"
    raise HTTPException(
        404,
        f"no {kind} of this id is known here that you may see; one that many namespaces or several clusters share is in "
        f"/api/v1/{kind}s?namespace=NAMESPACE&id=ID",
    )
