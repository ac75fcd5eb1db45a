"""PostgreSQL behind the store: who may use it, what happens while it is away or silent, and what collectors tell each other."""

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
from collector.fleetstored import probe, report, stated
from collector.samples import NOW, Clock, finding, until
from collector.stored import WHO, record
from collector.test_delivery import wait_for
from collector.test_fleet_store import refused

from pullwhy.collector.fleet import Change, ProblemQuery
from pullwhy.collector.problem import problem_key
from pullwhy.collector.records import NodeFacts, Query, Speaker, StoreError
from pullwhy.collector.store import SQLStore, open_store, postgres
from pullwhy.collector.store.postgres import PostgresDatabase
from pullwhy.collector.store.postgresschema import APPLICATION_ID, FORGETTING, MIGRATIONS, prepare

from lab.errors import LabError
from lab.postgres import Cluster, cluster

pytestmark = pytest.mark.lab


@pytest.fixture
def url(postgres: Cluster) -> Iterator[str]:
    yield postgres.url()
    postgres.query("DROP SCHEMA IF EXISTS pullwhy CASCADE")


@contextlib.asynccontextmanager
async def stores(url: str, count: int = 1) -> AsyncIterator[list[SQLStore]]:
    """Open a store for each of so many collectors."""
    opened = [open_store(url, lambda: NOW) for _ in range(count)]
    try:
        yield opened
    finally:
        await asyncio.gather(*(store.close() for store in opened))


def backend(store: SQLStore) -> int:
    """Return the server's process that the store writes through."""
    assert isinstance(store._database, PostgresDatabase)
    return store._database._write_session.pid


def test_a_newer_schema_is_refused_with_the_mend_and_left_alone(url: str, postgres: Cluster) -> None:
    async def scenario() -> None:
        async with stores(url):
            postgres.query("UPDATE pullwhy.schema_version SET version = 99")
        with pytest.raises(StoreError, match=rf"schema has version 99, .* up to {len(MIGRATIONS)}: a newer collector"):
            open_store(url)

    asyncio.run(scenario())
    assert postgres.query("SELECT version FROM pullwhy.schema_version") == "99"


@pytest.mark.parametrize(
    "theirs",
    [
        "CREATE TABLE pullwhy.theirs (x int)",
        "CREATE TABLE pullwhy.schema_version (x int)",
        "CREATE TABLE pullwhy.schema_version (application int, version int); INSERT INTO pullwhy.schema_version VALUES (1, 1)",
    ],
)
def test_another_programs_schema_is_refused_and_left_alone(url: str, postgres: Cluster, theirs: str) -> None:
    postgres.query(f"CREATE SCHEMA pullwhy; {theirs}")
    tables = "SELECT count(*) FROM pg_class WHERE relnamespace = 'pullwhy'::regnamespace"
    with pytest.raises(StoreError, match="another program's: name another database"):
        open_store(url)
    assert postgres.query(tables) == "1"


def test_an_empty_schema_that_an_administrator_made_is_used(url: str, postgres: Cluster) -> None:
    async def scenario() -> None:
        async with stores(url) as (store,):
            await report(store, finding(1))

    postgres.query("CREATE SCHEMA pullwhy; CREATE TABLE public.theirs (x int)")
    asyncio.run(scenario())
    postgres.query("DROP TABLE public.theirs")


def test_collectors_that_start_together_make_one_schema(url: str, postgres: Cluster) -> None:
    async def scenario() -> None:
        databases = await asyncio.gather(*(asyncio.to_thread(prepared, url) for _ in range(4)))
        assert databases == [None] * 4

    asyncio.run(scenario())
    assert postgres.query("SELECT count(*), max(version) FROM pullwhy.schema_version") == f"1|{len(MIGRATIONS)}"


def prepared(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        prepare(connection, "it")


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("postgresql://alice:s3cret@127.0.0.1:1/x", "PostgreSQL .127.0.0.1, database x.: .*refused"),
        ("postgresql://alice:s3cret@[::1/x", "libpq cannot read this URL"),
        ("postgresql://alice:s3cret@h/x?nonsense=1", "libpq cannot read this URL"),
        ("postgresql://alice:s3cret%00@h/x", "libpq cannot read this URL"),
    ],
)
def test_a_server_that_cannot_be_used_is_named_without_the_password(address: str, told: str) -> None:
    with pytest.raises(StoreError, match=told) as caught:
        open_store(address)
    assert "s3cret" not in str(caught.value)


def test_a_database_that_is_not_there_and_a_user_that_may_not_are_told_with_the_mend(
    url: str, postgres: Cluster
) -> None:
    with pytest.raises(StoreError, match="does not exist: see `database`"):
        open_store(postgres.url("nowhere"))
    postgres.query("CREATE ROLE guest LOGIN")
    try:
        with pytest.raises(StoreError, match="make it the owner of the database"):
            open_store(url.replace("postgres@", "guest@"))
    finally:
        postgres.query("DROP ROLE guest")


def test_the_password_comes_from_its_file_anew_for_each_connection(tmp_path: Path) -> None:
    secret = tmp_path / "password"

    async def scenario(server: Cluster) -> None:
        with pytest.raises(StoreError, match=r"database_password_file .*: name a readable file"):
            open_store(server.url(), password_file=str(secret))
        secret.write_text("wrong\n")
        with pytest.raises(StoreError, match=r"authentication failed.*: see `database` and `database_password_file`"):
            open_store(server.url(), password_file=str(secret))
        secret.write_text("right\n")
        store = open_store(server.url(), password_file=str(secret))
        await report(store, finding(1))
        await store.close()

    with cluster("fsync=off") as server:
        server.query("ALTER ROLE postgres PASSWORD 'right'")
        (server.folder / "data" / "pg_hba.conf").write_text("local all all scram-sha-256\n")
        os.kill(server.pid, signal.SIGHUP)
        wait_for(lambda: not open_to_all(server))
        asyncio.run(scenario(server))


def open_to_all(server: Cluster) -> bool:
    with contextlib.suppress(LabError):
        return server.query("SELECT 1") == "1"
    return False


def test_a_restart_of_an_idle_server_is_not_noticed(url: str, postgres: Cluster) -> None:
    async def scenario() -> None:
        async with stores(url) as (store,):
            await report(store, finding(1))
            assert len(await store.findings(Query())) == 1
            for how in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
                await asyncio.to_thread(postgres.stop, how)
                await asyncio.to_thread(postgres.start)
                await report(store, finding(1), sequence=2)
                assert len(await store.findings(Query())) == 1
            assert store.fault == ""

    asyncio.run(scenario())


def test_while_the_server_is_away_writes_and_reads_fail_with_the_reason_and_then_work_again(
    url: str, postgres: Cluster
) -> None:
    async def scenario() -> None:
        async with stores(url) as (store,):
            opened = await store.open_session(WHO, NodeFacts())
            await asyncio.to_thread(postgres.stop)
            with pytest.raises(StoreError, match=r"PostgreSQL .*database postgres"):
                await store.write(opened, [record(1, 1)], 1)
            assert "PostgreSQL" in store.fault
            with pytest.raises(StoreError):
                await store.findings(Query())
            await asyncio.to_thread(postgres.start)
            await store.write(opened, [record(1, 1)], 1)
            assert store.fault == ""
            assert len(await store.findings(Query())) == 1

    asyncio.run(scenario())


def test_a_server_that_falls_silent_is_cut_off(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LONGEST_WRITE_SECONDS", "LONGEST_READ_SECONDS", "SPARE_SECONDS"):
        monkeypatch.setattr(postgres, name, 0.3)

    async def scenario() -> None:
        async with stores(url) as (store,):
            opened = await store.open_session(WHO, NodeFacts())
            silent = backend(store)
            os.kill(silent, signal.SIGSTOP)
            try:
                async with asyncio.timeout(10):
                    # Done again on a connection of its own: nothing had been sent to be committed.
                    await store.write(opened, [record(1, 1)], 1)
            finally:
                os.kill(silent, signal.SIGCONT)
            assert len(await store.findings(Query())) == 1

    asyncio.run(scenario())


def test_what_one_collector_changes_the_other_is_told_also_after_a_loss(url: str, postgres: Cluster) -> None:
    async def scenario() -> None:
        async with stores(url, 2) as (one, other):
            told: list[Change] = []
            other.listen(told.append)
            await until(lambda: told)  # of whatever had been
            for number in (1, 2):
                told.clear()
                before = other.version
                await report(one, finding(number), sequence=number)
                await until(lambda: any(Change.PROBLEMS in each for each in told))
                assert other.version > before
                postgres.query(
                    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE query LIKE 'LISTEN%' OR query = 'SELECT 1'"
                )

    asyncio.run(scenario())


def test_what_no_one_foresaw_does_not_end_the_listening(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        async with stores(url, 2) as (one, other):
            told: list[Change] = []
            other.listen(told.append)
            assert isinstance(other._database, PostgresDatabase)
            hear, failed = other._database._hear, asyncio.Event()

            async def broken(listening: psycopg.AsyncConnection[object]) -> None:
                if failed.is_set():
                    await hear(listening)
                failed.set()
                raise AttributeError("no such thing")

            monkeypatch.setattr(other._database, "_hear", broken)
            other._database._listening.cancel()
            other._database._listening = asyncio.create_task(other._database._listen())
            await failed.wait()
            await asyncio.sleep(2 * postgres.AGAIN_SECONDS)
            told.clear()
            await report(one, finding(1))
            await until(lambda: any(Change.PROBLEMS in each for each in told))

    asyncio.run(scenario())


def test_an_order_goes_to_one_of_several_collectors_and_its_answer_is_seen_by_all(url: str) -> None:
    async def scenario() -> None:
        async with stores(url, 3) as collectors:
            assert [await store.add_probe(probe(), ["node-a", "node-b"]) for store in collectors] == [
                True,
                False,
                False,
            ]
            taken = await asyncio.gather(
                *(store.take_walks([("", "node-a"), ("", "node-b")], 9) for store in collectors)
            )
            assert sorted(order.node for orders in taken for order in orders) == ["node-a", "node-b"]

    asyncio.run(scenario())


def test_tokens_of_one_bucket_are_shared(url: str) -> None:
    async def scenario() -> None:
        async with stores(url, 2) as (one, other):
            waits = await asyncio.gather(
                *(store.take_token("", "r", 1.0, 2.0, 60.0) for store in (one, other) for _ in range(3))
            )
            assert sorted(wait for wait in waits if wait is not None) == [0, 0, 1, 2, 3, 4]

    asyncio.run(scenario())


def test_one_agent_at_two_collectors_doubles_nothing_and_hinders_no_one(url: str) -> None:
    async def scenario() -> None:
        async with stores(url, 2) as (one, other):
            for turn in range(5):
                # The same states, in opposite order, of one outbox: an agent that reconnected while the first collector still stores.
                speakers = [Speaker("", f"node-{number}", "box") for number in range(20)]
                writes = []
                for store, order in ((one, speakers), (other, speakers[::-1])):
                    for who in order:
                        opened = await store.open_session(who, NodeFacts())
                        sample = (finding, refused)[turn % 2](1, node=who.node)
                        writes.append(store.write(opened, [stated(sample, 2 * turn + n) for n in (1, 2)], 2 * turn + 2))
                await asyncio.gather(*writes)
                (found,) = await one.problems(ProblemQuery(active=None))
                assert (found.key, found.active) == (problem_key((finding, refused)[turn % 2](1)), 20)
            assert len(await other.findings(Query())) == 20

    asyncio.run(scenario())


def test_only_one_collector_forgets(url: str) -> None:
    async def scenario() -> None:
        clock = Clock()
        store = open_store(url, clock)
        await report(store, finding(1))
        clock.now += timedelta(days=31)
        with psycopg.connect(url) as other:
            other.execute("SELECT pg_advisory_xact_lock(%s, %s)", (APPLICATION_ID, FORGETTING))
            assert await store.forget(clock.now - timedelta(days=30), 10) == 0
            assert await store.shrink(10) == 0
        assert await store.forget(clock.now - timedelta(days=30), 10) == 1
        await store.close()

    asyncio.run(scenario())


def test_beyond_the_size_findings_go_until_the_estimate_fits(url: str) -> None:
    async def scenario() -> None:
        async with stores(url) as (store,):
            opened = await store.open_session(WHO, NodeFacts())
            await store.write(opened, [record(n, n, document=b"%06d" % n * 400) for n in range(1, 2001)], 2000)
            full = await store.size()
            gone = 0
            while await store.size() > full / 2 and (some := await store.shrink(100)):
                gone += some
            assert gone == 1000
            assert await store.size() == full / 2

    asyncio.run(scenario())


def test_a_text_that_postgresql_does_not_know_is_stored_visibly(url: str) -> None:
    async def scenario() -> None:
        async with stores(url) as (store,):
            opened = await store.open_session(WHO, NodeFacts())
            odd = replace(record(1, 1), image="a\0b", pods=(("shop\0", "x"),))
            await store.write(opened, [odd], 1)
            assert len(await store.findings(Query(namespace="shop\0"))) == 1

    asyncio.run(scenario())
