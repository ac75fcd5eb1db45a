"""Problems in the store: what `FleetStore` tells and keeps of them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec

from pullwhy.collector.fleet import Canary, Change, Failure, ProblemQuery, Silence, StoredProblem
from pullwhy.collector.problem import ProblemKey
from pullwhy.collector.store import problemsql
from pullwhy.collector.store.database import Part
from pullwhy.collector.store.findingsql import microseconds, moment
from pullwhy.collector.store.problemsql import Counts
from pullwhy.collector.store.transaction import Transaction
from pullwhy.model import Scope

KNOWN_COUNTS: Final = 5000
"""Problems whose counts are remembered until their findings change: to count 15,000 findings takes milliseconds each time."""


class Problems(Part):
    """Implements the part of `FleetStore` that is about problems."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._counts: dict[str, tuple[int, Counts]] = {}

    async def problems(self, query: ProblemQuery) -> list[StoredProblem]:
        """Return up to `query.limit` problems, last seen first."""
        now = microseconds(self._clock())
        return await self._stored(await self._database.read(*problemsql.problems(query, now)))

    async def problem(self, problem_id: str, cluster: str) -> list[StoredProblem]:
        """Return the problem of this id in each cluster (or in the one named) that has it."""
        return await self._stored(await self._database.read(problemsql.PROBLEM, (problem_id, cluster, cluster)))

    async def failing(self, problem: ProblemKey, namespaces: Collection[str] = ()) -> list[str]:
        """Return the nodes that have an Active finding of this problem, with a pod in one of these namespaces or any, at most 20,000."""
        return [node for (node,) in await self._database.read(*problemsql.failing(problem.id, namespaces))]

    async def namespaces(self, problem: ProblemKey) -> list[str]:
        """Return the namespaces in which a pod waits, or waited, for this problem, by name, at most 20,000."""
        return [namespace for (namespace,) in await self._database.read(problemsql.NAMESPACES, (problem.id,))]

    async def unscoped(self, before: datetime, limit: int, after: StoredProblem | None = None) -> list[StoredProblem]:
        """Return active problems whose findings came, went or took another state after their scope was judged, or that were judged before `before`."""
        position = (microseconds(after.scope_at) if after.scope_at else 0, after.key.id) if after else (-1, "")
        parameters = (microseconds(before), *position, limit)
        return await self._stored(await self._database.read(problemsql.UNSCOPED, parameters))

    async def never_judged(self, limit: int) -> list[StoredProblem]:
        """Return those active problems without a scope that were found last."""
        return await self._stored(await self._database.read(problemsql.NEVER_JUDGED, (limit,)))

    async def failures(self, problem: ProblemKey, since: datetime, limit: int) -> list[Failure]:
        """Return up to `limit` Active findings that were seen since then, last seen first."""
        rows = await self._database.read(problemsql.FAILURES, (problem.id, microseconds(since), limit))
        return [Failure(node, image, moment(first_us), moment(last_us)) for node, image, first_us, last_us in rows]

    async def failing_images(self, problem: ProblemKey, limit: int) -> list[str]:
        """Return up to `limit` images of its Active findings, as they are looked for."""
        return [image for (image,) in await self._database.read(problemsql.FAILING_IMAGES, (problem.id, limit))]

    async def set_scope(self, problem: ProblemKey, scope: Scope, at: datetime, revision: int) -> None:
        """Keep what the comparison came to."""
        judged = (microseconds(at), revision, revision)
        await self._set(problemsql.SET_SCOPE, msgspec.json.encode(scope), *judged, problem.id)

    async def set_canary(self, problem: ProblemKey, canary: Canary) -> None:
        """Keep the last look whether the fault is over."""
        await self._set(problemsql.SET_CANARY, msgspec.json.encode(canary), problem.id)

    async def silence(self, problem: ProblemKey, silence: Silence | None) -> None:
        """Silence a problem, or end its silence."""
        kept = (msgspec.json.encode(silence), microseconds(silence.until)) if silence else (None, None)
        await self._set(problemsql.SET_SILENCE, *kept, problem.id)

    async def forget_facts(self, after: str, limit: int) -> str:
        """Forget what findings had by which problems are looked for, of problems after this id; return the last one's, "" at the end."""

        def work(transaction: Transaction) -> str:
            connection = transaction.connection
            return problemsql.forget_facts(connection, after, limit) if self._database.alone(connection) else ""

        return await self._database.write(work)

    async def _set(self, statement: str, *parameters: Any) -> None:
        def work(transaction: Transaction) -> None:
            transaction.connection.execute(statement, parameters)
            transaction.change |= Change.PROBLEMS

        await self._database.write(work)

    async def _stored(self, rows: Sequence[Any]) -> list[StoredProblem]:
        counted = await self._count(dict(map(problemsql.revision, rows)))
        now = microseconds(self._clock())
        return [problemsql.stored_problem(row, counted[problemsql.revision(row)[0]], now) for row in rows]

    async def _count(self, revisions: dict[str, int]) -> dict[str, Counts]:
        """Return what is Active of each problem."""
        known = {
            each: self._counts[each][1] for each in revisions if self._counts.get(each, (-1,))[0] == revisions[each]
        }
        missing = [each for each in revisions if each not in known]
        if not missing:
            return known
        fresh = dict.fromkeys(missing, Counts())
        for problem_id, findings, nodes, listed, of_node in await self._database.read(*problemsql.counts(missing)):
            pods = listed
            if of_node > 1 and findings <= problemsql.MOST_PODS_COUNTED:
                ((pods,),) = await self._database.read(problemsql.COUNT_PODS, (problem_id,))
            fresh[problem_id] = Counts(int(findings), nodes, int(pods))
        if len(self._counts) + len(fresh) > KNOWN_COUNTS:
            self._counts.clear()
        self._counts |= {each: (revisions[each], counts) for each, counts in fresh.items()}
        return known | fresh
