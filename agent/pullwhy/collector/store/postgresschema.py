"""The PostgreSQL schema of the collector and its migrations: everything is in a schema `pullwhy` of its own."""

from __future__ import annotations

from typing import Any, Final

from pullwhy.collector.records import StoreError

SCHEMA: Final = "pullwhy"
APPLICATION_ID: Final = 0x70756C6C
"""Marks the schema as ours, and names our advisory locks (`pull`)."""
MIGRATING: Final = 1
FORGETTING: Final = 2

# Names are compared by code point, whatever the database's locale: pages and locks then have the same order everywhere.
# In `findings`, what a row was before tells a writer exactly what its own statement replaced (RETURNING shows new values only).
_FIRST: Final = """
CREATE DOMAIN name_text AS text COLLATE "C" NOT NULL;
CREATE TABLE sessions (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    cluster name_text, node name_text, outbox_id name_text,
    acknowledged bigint NOT NULL DEFAULT 0,
    seen_us bigint NOT NULL,
    UNIQUE (cluster, node, outbox_id)
);
CREATE TABLE nodes (
    cluster name_text, node name_text,
    first_us bigint NOT NULL, last_us bigint NOT NULL,
    agent_version name_text, facts bytea NOT NULL,
    PRIMARY KEY (cluster, node)
);
CREATE TABLE findings (
    key bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    cluster name_text, node name_text, id name_text,
    session bigint NOT NULL, sequence bigint NOT NULL,
    image name_text, repository name_text, registry name_text,
    cause name_text, state name_text,
    first_us bigint NOT NULL, last_us bigint NOT NULL, received_us bigint NOT NULL,
    document bytea NOT NULL,
    problem name_text, pod_count integer NOT NULL,
    state_before text, problem_before text,
    UNIQUE (node, cluster, id)
) WITH (autovacuum_vacuum_scale_factor = 0.05);
CREATE INDEX findings_id ON findings (id);
CREATE INDEX findings_last ON findings (last_us, key);
CREATE INDEX findings_repository ON findings (repository, last_us);
CREATE INDEX findings_registry ON findings (registry, last_us);
CREATE INDEX findings_cause ON findings (cause, last_us);
CREATE INDEX findings_state ON findings (state, last_us, cause);
CREATE INDEX findings_received ON findings (received_us);
CREATE INDEX findings_problem ON findings (problem, last_us);
CREATE INDEX findings_problem_active ON findings (problem, node, pod_count) WHERE state = 'Active';
CREATE TABLE pods (
    namespace name_text, name name_text, finding bigint NOT NULL,
    PRIMARY KEY (namespace, name, finding)
);
CREATE INDEX pods_name ON pods (name);
CREATE INDEX pods_finding ON pods (finding);
CREATE TABLE transitions (
    rowid bigint GENERATED ALWAYS AS IDENTITY,
    finding bigint NOT NULL, at_us bigint NOT NULL, state name_text
);
CREATE INDEX transitions_finding ON transitions (finding, at_us);
CREATE FUNCTION forget_of_findings() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    DELETE FROM pods USING gone WHERE pods.finding = gone.key;
    DELETE FROM transitions USING gone WHERE transitions.finding = gone.key;
    RETURN NULL;
END $$;
CREATE TRIGGER findings_forgotten AFTER DELETE ON findings REFERENCING OLD TABLE AS gone
    FOR EACH STATEMENT EXECUTE FUNCTION forget_of_findings();
CREATE TABLE problems (
    id name_text PRIMARY KEY,
    cluster name_text, cause name_text, via name_text, kind name_text, subject name_text,
    first_us bigint NOT NULL, last_us bigint NOT NULL, changed_us bigint NOT NULL,
    revision bigint NOT NULL, active integer NOT NULL,
    scope bytea, scope_us bigint, silence bytea, silence_until_us bigint, canary bytea
);
CREATE INDEX problems_active ON problems (active, last_us, id);
CREATE INDEX problems_last ON problems (last_us, id);
CREATE INDEX problems_silenced ON problems (silence_until_us) WHERE silence_until_us IS NOT NULL;
CREATE TABLE problem_facts (
    kind name_text, value name_text, problem name_text,
    PRIMARY KEY (kind, value, problem)
);
CREATE INDEX problem_facts_problem ON problem_facts (problem);
CREATE TABLE probes (
    id name_text PRIMARY KEY,
    cluster name_text, image name_text, purpose name_text,
    asked_us bigint NOT NULL, deadline_us bigint NOT NULL,
    asked_by name_text, problem name_text
);
CREATE INDEX probes_asked ON probes (asked_us);
CREATE INDEX probes_deadline ON probes (deadline_us);
CREATE TABLE walks (
    probe name_text, node name_text,
    state name_text, at_us bigint NOT NULL, reason name_text, document bytea NOT NULL, walked_us bigint,
    PRIMARY KEY (probe, node)
);
CREATE TABLE buckets (
    cluster name_text, registry name_text, full_us bigint NOT NULL,
    PRIMARY KEY (cluster, registry)
);
"""

# A moment tells when a finding came, not when it could be read: what was judged is told by the revision instead.
_SECOND: Final = """
ALTER TABLE problems RENAME COLUMN changed_us TO changed_revision;
ALTER TABLE problems ADD COLUMN scope_revision bigint NOT NULL DEFAULT 0;
UPDATE problems SET changed_revision = revision;
-- Which of a node's streams, counted over all collectors, is its newest.
ALTER TABLE nodes ADD COLUMN stream bigint NOT NULL DEFAULT 0;
-- Nodes are looked up by name whatever their cluster, and told with what fails on them now.
CREATE INDEX nodes_node ON nodes (node);
CREATE INDEX findings_active ON findings (node, cluster) WHERE state = 'Active';
"""

MIGRATIONS: Final[tuple[str, ...]] = (_FIRST, _SECOND)
"""The script at index n brings the schema from version n to n + 1 (`schema_version`)."""


def prepare(connection: Any, name: str) -> None:
    """Bring the schema to the newest version; raises StoreError where it is newer than this program or not ours.

    Collectors that start at the same time wait for each other. `connection` is one of psycopg, in autocommit.
    """
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s, %s)", (APPLICATION_ID, MIGRATING))
        version = _version(connection, name)
        if version > len(MIGRATIONS):
            raise StoreError(
                f"{name}: its schema has version {version}, this collector knows versions up to {len(MIGRATIONS)}: a newer "
                "collector wrote it; run that one, or name another database in `database`"
            )
        if version == len(MIGRATIONS):
            return
        if not version:
            connection.execute(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}")
            connection.execute(
                f"CREATE TABLE {SCHEMA}.schema_version (application integer NOT NULL, version integer NOT NULL)"
            )
        connection.execute(f"SET LOCAL search_path TO {SCHEMA}")
        if not version:
            connection.execute("INSERT INTO schema_version VALUES (%s, 0)", (APPLICATION_ID,))
        for script in MIGRATIONS[version:]:
            connection.execute(script)
        connection.execute("UPDATE schema_version SET version = %s", (len(MIGRATIONS),))


def _version(connection: Any, name: str) -> int:
    """Return the version of our schema, 0 where there is none or an empty one."""
    relations = "SELECT count(*) FROM pg_class WHERE relnamespace = to_regnamespace(%s)"
    if not connection.execute(relations, (SCHEMA,)).fetchone()[0]:
        return 0
    columns = (
        "SELECT count(*) FROM pg_attribute WHERE attrelid = to_regclass(%s) AND attname IN ('application', 'version')"
    )
    row = None
    if connection.execute(columns, (f"{SCHEMA}.schema_version",)).fetchone()[0]:
        connection.execute(f"SET LOCAL search_path TO {SCHEMA}")
        row = connection.execute("SELECT application, version FROM schema_version").fetchone()
    if row is None or row[0] != APPLICATION_ID:
        raise StoreError(f"{name}: its schema `{SCHEMA}` is another program's: name another database in `database`")
    return int(row[1])
