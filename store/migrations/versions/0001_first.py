"""The first schema.

Revision ID: 0001
Long on purpose: every table stands here by hand, so that it never changes when the code does.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

#: An id, a count: SQLite gives only INTEGER primary keys the row id, PostgreSQL needs BIGINT for the range.
WHOLE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    _create_addresses()
    _create_assessments()
    _create_budgets()
    _create_checkpoint_heads()
    _create_checkpoints()
    _create_contents()
    _create_counters()
    _create_deliveries()
    _create_fold_keys()
    _create_incidents()
    _create_instance()
    _create_keys()
    _create_links()
    _create_nodes()
    _create_outbox()
    _create_participants()
    _create_people()
    _create_receipts()
    _create_signals()
    _create_sweeps()
    _create_targets()
    _create_timeline()
    _create_timeline_values()
    _create_tombstones()
    if op.get_bind().dialect.name == "sqlite":
        _protect_timeline_sqlite()
        _start_counters_sqlite()
    else:
        _protect_timeline_postgresql()
        _start_counters_postgresql()


def _create_addresses() -> None:
    op.create_table(
        "addresses",
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("person", WHOLE, nullable=False),
        sa.Column("verified_at", sa.BigInteger()),
        sa.Column("suppressed_at", sa.BigInteger()),
        sa.Column("reason", sa.Text()),
        sa.PrimaryKeyConstraint("address", name=op.f("pk_addresses")),
    )
    op.create_index("ix_addresses_person", "addresses", ["person"])


def _create_assessments() -> None:
    op.create_table(
        "assessments",
        sa.Column("id", WHOLE, nullable=False, autoincrement=False),
        sa.Column("incident", WHOLE, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("fields", sa.Text(), nullable=False),
        sa.Column("severity", sa.Text(), nullable=False),
        sa.Column("policy_version", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_assessments")),
    )
    op.create_index("ix_assessments_incident", "assessments", ["incident"])


def _create_budgets() -> None:
    op.create_table(
        "budgets",
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("hour", sa.BigInteger(), nullable=False),
        sa.Column("count", WHOLE, nullable=False),
        sa.PrimaryKeyConstraint("address", "kind", "hour", name=op.f("pk_budgets")),
    )


def _create_checkpoint_heads() -> None:
    op.create_table(
        "checkpoint_heads",
        sa.Column("checkpoint", WHOLE, nullable=False),
        sa.Column("subject", WHOLE, nullable=False),
        sa.Column("seq", WHOLE, nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("checkpoint", "subject", name=op.f("pk_checkpoint_heads")),
    )
    op.create_index("ix_checkpoint_heads_subject", "checkpoint_heads", ["subject"])


def _create_checkpoints() -> None:
    op.create_table(
        "checkpoints",
        sa.Column("id", WHOLE, nullable=False, autoincrement=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_checkpoints")),
    )


def _create_contents() -> None:
    op.create_table(
        "contents",
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("part", sa.SmallInteger(), nullable=False),
        sa.Column("bytes", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("hash", "part", name=op.f("pk_contents")),
    )


def _create_counters() -> None:
    op.create_table(
        "counters",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", WHOLE, nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_counters")),
    )


def _create_deliveries() -> None:
    op.create_table(
        "deliveries",
        sa.Column("id", WHOLE, nullable=False, autoincrement=False),
        sa.Column("outbox", WHOLE, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("code", sa.Text()),
        sa.Column("text", sa.Text()),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_deliveries")),
    )
    op.create_index("ix_deliveries_outbox", "deliveries", ["outbox"])


def _create_fold_keys() -> None:
    op.create_table(
        "fold_keys",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("incident", WHOLE),
        sa.Column("episode", sa.BigInteger(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("ended_at", sa.BigInteger()),
        sa.Column("receipt", WHOLE, nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("own_start", sa.SmallInteger(), nullable=False),
        sa.Column("signals", WHOLE, nullable=False),
        sa.Column("last_seen_at", sa.BigInteger(), nullable=False),
        sa.Column("version", WHOLE, nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_fold_keys")),
    )
    op.create_index("ix_fold_keys_incident", "fold_keys", ["incident"], **_where("incident IS NOT NULL"))


def _create_incidents() -> None:
    op.create_table(
        "incidents",
        sa.Column("id", WHOLE, nullable=False, autoincrement=False),
        sa.Column("number", WHOLE, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("type", sa.Text()),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("team", sa.Text(), nullable=False),
        sa.Column("assignee", WHOLE),
        sa.Column("service", sa.Text()),
        sa.Column("category", sa.Text()),
        sa.Column("confidential", sa.SmallInteger(), nullable=False),
        sa.Column("retention_class", sa.Text(), nullable=False),
        sa.Column("opened_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.Column("closed_at", sa.BigInteger()),
        sa.Column("version", WHOLE, nullable=False),
        sa.Column("hold_count", sa.SmallInteger(), nullable=False),
        sa.Column("priority", sa.Text(), nullable=False),
        sa.Column("severity", sa.Text(), nullable=False),
        sa.Column("needs_person", sa.SmallInteger(), nullable=False),
        sa.Column("impact", sa.Text(), nullable=False),
        sa.Column("urgency", sa.Text(), nullable=False),
        sa.Column("severity_hint", sa.Text()),
        sa.Column("floor", sa.Text()),
        sa.Column("tier", sa.SmallInteger(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("requester", WHOLE),
        sa.Column("mailbox", sa.Text()),
        sa.Column("last_message_id", sa.Text()),
        sa.Column("resource", sa.Text()),
        sa.Column("url", sa.Text()),
        sa.Column("labels", sa.Text(), nullable=False),
        sa.Column("group_key", sa.Text()),
        sa.Column("acknowledged_at", sa.BigInteger()),
        sa.Column("acknowledged_by", WHOLE),
        sa.Column("restored_at", sa.BigInteger()),
        sa.Column("resolved_at", sa.BigInteger()),
        sa.Column("resolution", sa.Text()),
        sa.Column("firing", WHOLE, nullable=False),
        sa.Column("reopens", WHOLE, nullable=False),
        sa.Column("head_seq", WHOLE, nullable=False),
        sa.Column("head_hash", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_incidents")),
        sa.UniqueConstraint("number", name=op.f("uq_incidents_number")),
    )
    op.create_index("ix_incidents_open", "incidents", ["state", "priority", "id"], **_where("closed_at IS NULL"))


def _create_instance() -> None:
    op.create_table(
        "instance",
        sa.Column("one", sa.SmallInteger(), nullable=False, autoincrement=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("schema", sa.SmallInteger(), nullable=False),
        sa.Column("first_start", sa.BigInteger(), nullable=False),
        sa.Column("held_at", sa.BigInteger()),
        sa.Column("held_reason", sa.Text()),
        sa.PrimaryKeyConstraint("one", name=op.f("pk_instance")),
    )


def _create_keys() -> None:
    op.create_table(
        "keys",
        sa.Column("id", sa.SmallInteger(), nullable=False, autoincrement=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("secret", sa.LargeBinary(), nullable=False),
        sa.Column("made_at", sa.BigInteger(), nullable=False),
        sa.Column("retired_at", sa.BigInteger()),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_keys")),
    )


def _create_links() -> None:
    op.create_table(
        "links",
        sa.Column("from", WHOLE, nullable=False),
        sa.Column("to", WHOLE, nullable=False),
        sa.Column("relation", sa.Text(), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("until", sa.BigInteger()),
        sa.Column("author", WHOLE, nullable=False),
        sa.Column("note", sa.Text()),
        sa.PrimaryKeyConstraint("from", "to", "relation", name=op.f("pk_links")),
    )
    op.create_index("ix_links_to", "links", ["to"])


def _create_nodes() -> None:
    op.create_table(
        "nodes",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.Column("alive_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_nodes")),
    )


def _create_outbox() -> None:
    op.create_table(
        "outbox",
        sa.Column("id", WHOLE, nullable=False, autoincrement=False),
        sa.Column("subject", WHOLE),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("person", WHOLE, nullable=False),
        sa.Column("recipient", sa.Text(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("rank", sa.SmallInteger(), nullable=False),
        sa.Column("message_id", sa.Text(), nullable=False),
        sa.Column("facts", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text()),
        sa.Column("bytes", sa.LargeBinary()),
        sa.Column("attempts", sa.SmallInteger(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("next_at", sa.BigInteger()),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("notice", WHOLE),
        sa.Column("members", WHOLE, nullable=False),
        sa.Column("lease_owner", sa.Text()),
        sa.Column("lease_until", sa.BigInteger()),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outbox")),
    )
    op.create_index("ix_outbox_leased", "outbox", ["lease_until"], **_where("lease_owner IS NOT NULL"))
    op.create_index("ix_outbox_next_at", "outbox", ["state", "rank", "next_at"], **_where("next_at IS NOT NULL"))
    op.create_index("ix_outbox_notice", "outbox", ["notice"], **_where("notice IS NOT NULL"))
    op.create_index("ix_outbox_subject", "outbox", ["subject"])


def _create_participants() -> None:
    op.create_table(
        "participants",
        sa.Column("subject", WHOLE, nullable=False),
        sa.Column("person", WHOLE, nullable=False),
        sa.Column("team", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("until", sa.BigInteger()),
        sa.PrimaryKeyConstraint("subject", "person", "team", "role", name=op.f("pk_participants")),
    )


def _create_people() -> None:
    op.create_table(
        "people",
        sa.Column("id", WHOLE, nullable=False, autoincrement=False),
        sa.Column("handle", sa.Text()),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("language", sa.Text()),
        sa.Column("zone", sa.Text()),
        sa.Column("erased_at", sa.BigInteger()),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_people")),
        sa.UniqueConstraint("handle", name=op.f("uq_people_handle")),
    )


def _create_receipts() -> None:
    op.create_table(
        "receipts",
        sa.Column("id", WHOLE, nullable=False, autoincrement=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("format", sa.Text(), nullable=False),
        sa.Column("key", sa.LargeBinary()),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.Column("envelope", sa.Text(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column("size", WHOLE, nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("attempts", sa.SmallInteger(), nullable=False),
        sa.Column("lease_owner", sa.Text()),
        sa.Column("lease_until", sa.BigInteger()),
        sa.Column("counts", sa.Text()),
        sa.Column("error", sa.Text()),
        sa.Column("worked_at", sa.BigInteger()),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_receipts")),
        sa.UniqueConstraint("key", name=op.f("uq_receipts_key")),
    )
    op.create_index("ix_receipts_fresh", "receipts", ["id"], **_where("state = 'waiting' AND lease_owner IS NULL"))
    op.create_index("ix_receipts_leased", "receipts", ["lease_until"], **_where("lease_owner IS NOT NULL"))
    op.create_index("ix_receipts_quarantined", "receipts", ["id"], **_where("state = 'quarantined'"))


def _create_signals() -> None:
    op.create_table(
        "signals",
        sa.Column("id", WHOLE, nullable=False, autoincrement=False),
        sa.Column("receipt", WHOLE, nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("key", sa.LargeBinary()),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("disposition", sa.Text(), nullable=False),
        sa.Column("incident", WHOLE),
        sa.Column("repeats", WHOLE),
        sa.Column("reason", sa.Text()),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_signals")),
        sa.UniqueConstraint("key", name=op.f("uq_signals_key")),
    )
    op.create_index("ix_signals_incident", "signals", ["incident"], **_where("incident IS NOT NULL"))
    op.create_index("ix_signals_receipt", "signals", ["receipt"])


def _create_sweeps() -> None:
    op.create_table(
        "sweeps",
        sa.Column("id", WHOLE, nullable=False, autoincrement=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("counts", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sweeps")),
    )


def _create_targets() -> None:
    op.create_table(
        "targets",
        sa.Column("id", WHOLE, nullable=False, autoincrement=False),
        sa.Column("subject", WHOLE, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=False),
        sa.Column("next_at", sa.BigInteger()),
        sa.Column("length", WHOLE, nullable=False),
        sa.Column("calendar", sa.Text(), nullable=False),
        sa.Column("start_event", WHOLE),
        sa.Column("stop_event", WHOLE),
        sa.Column("met_at", sa.BigInteger()),
        sa.Column("paused_at", sa.BigInteger()),
        sa.Column("warned", sa.SmallInteger(), nullable=False),
        sa.Column("step", sa.SmallInteger(), nullable=False),
        sa.Column("round", sa.SmallInteger(), nullable=False),
        sa.Column("lease_owner", sa.Text()),
        sa.Column("lease_until", sa.BigInteger()),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_targets")),
    )
    op.create_index("ix_targets_leased", "targets", ["lease_until"], **_where("lease_owner IS NOT NULL"))
    op.create_index("ix_targets_next_at", "targets", ["next_at"], **_where("next_at IS NOT NULL"))
    op.create_index("ix_targets_subject", "targets", ["subject"])


def _create_timeline() -> None:
    op.create_table(
        "timeline",
        sa.Column("subject", WHOLE, nullable=False),
        sa.Column("seq", WHOLE, nullable=False),
        sa.Column("occurred_at", sa.BigInteger(), nullable=False),
        sa.Column("recorded_at", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("author", WHOLE, nullable=False),
        sa.Column("leaves", sa.Text(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("subject", "seq", name=op.f("pk_timeline")),
    )
    op.create_index("ix_timeline_recorded_at", "timeline", ["recorded_at"])


def _create_timeline_values() -> None:
    op.create_table(
        "timeline_values",
        sa.Column("subject", WHOLE, nullable=False),
        sa.Column("seq", WHOLE, nullable=False),
        sa.Column("values", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("subject", "seq", name=op.f("pk_timeline_values")),
    )


def _create_tombstones() -> None:
    op.create_table(
        "tombstones",
        sa.Column("subject", WHOLE, nullable=False, autoincrement=False),
        sa.Column("seq", WHOLE, nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("rule", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("subject", name=op.f("pk_tombstones")),
    )


def _where(condition: str) -> dict[str, sa.TextClause]:
    """What makes an index partial, on both databases."""
    return {"sqlite_where": sa.text(condition), "postgresql_where": sa.text(condition)}


def _protect_timeline_sqlite() -> None:
    op.execute("""
        CREATE TRIGGER timeline_no_update BEFORE UPDATE ON timeline
        BEGIN SELECT RAISE(ABORT, 'the timeline is only added to'); END
    """)
    op.execute("""
        CREATE TRIGGER timeline_no_delete BEFORE DELETE ON timeline
        WHEN NOT EXISTS (SELECT 1 FROM tombstones WHERE subject = OLD.subject)
        BEGIN SELECT RAISE(ABORT, 'the timeline is only added to'); END
    """)


def _protect_timeline_postgresql() -> None:
    op.execute("""
        CREATE FUNCTION protect_timeline() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF TG_OP = 'DELETE' AND EXISTS (SELECT 1 FROM tombstones WHERE subject = OLD.subject) THEN
                RETURN OLD;
            END IF;
            RAISE EXCEPTION 'the timeline is only added to' USING ERRCODE = 'restrict_violation';
        END $$
    """)
    op.execute("""
        CREATE TRIGGER timeline_rows BEFORE UPDATE OR DELETE ON timeline
        FOR EACH ROW EXECUTE FUNCTION protect_timeline()
    """)
    op.execute("""
        CREATE TRIGGER timeline_whole BEFORE TRUNCATE ON timeline
        FOR EACH STATEMENT EXECUTE FUNCTION protect_timeline()
    """)


def _start_counters_sqlite() -> None:
    op.execute("INSERT INTO counters (name, value) VALUES ('record', 0), ('number', 1000), ('row', 0), ('receipt', 0)")


def _start_counters_postgresql() -> None:
    """Sequences, and a function that hands out a block: locked for as long as it runs, not until the commit."""
    for name, first in (("record", 1), ("number", 1001), ("row", 1), ("receipt", 1)):
        op.execute(f"CREATE SEQUENCE counter_{name} AS bigint START {first}")
    op.execute("""
        CREATE FUNCTION reserve_counter(name text, count bigint) RETURNS bigint LANGUAGE plpgsql AS $$
        DECLARE
            counter regclass := to_regclass('counter_' || name);
            last bigint;
        BEGIN
            PERFORM pg_advisory_lock(counter::oid::bigint);
            last := nextval(counter) + count - 1;
            PERFORM setval(counter, last);
            PERFORM pg_advisory_unlock(counter::oid::bigint);
            RETURN last;
        END $$
    """)
