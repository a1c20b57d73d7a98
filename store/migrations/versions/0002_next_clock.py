"""The next clock of a record stands on the record; lists are read along an index, however many records there are.

Revision ID: 0002
Every older record is closed or looked up here, so that an upgraded desk lists what it listed before.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

#: Behind all instants: open without a running clock, resolved, closed.
_NO_CLOCK, _RESOLVED, _CLOSED = 2**62, 2**62 + 1, 2**62 + 2

#: Closed records, which are nearly all, have the default and need not be written again.
_FILL = f"""
    UPDATE incidents SET due_at = CASE WHEN state = 'resolved' THEN {_RESOLVED} ELSE coalesce((
        SELECT min(due_at) FROM targets
        WHERE subject = incidents.id AND state = 'running' AND name LIKE 'sla.%'
    ), {_NO_CLOCK}) END
    WHERE closed_at IS NULL
"""  # noqa: S608 - numbers of our own


def upgrade() -> None:
    op.add_column("incidents", sa.Column("due_at", sa.BigInteger(), nullable=False, server_default=str(_CLOSED)))
    op.execute(_FILL)
    op.drop_index("ix_incidents_open", "incidents")
    op.create_index("ix_receipts_discarded", "receipts", ["id"], **_where("state = 'discarded'"))
    undelivered = _where("state <> 'waiting' AND state <> 'ready' AND state <> 'delivered'")
    op.create_index("ix_outbox_undelivered", "outbox", ["state", "id"], **undelivered)
    rare = _where("disposition <> 'opened' AND disposition <> 'folded'")
    op.create_index("ix_signals_rare", "signals", ["disposition", "receipt", "id"], **rare)
    op.create_index(
        "ix_incidents_queue", "incidents", ["due_at", "priority", sa.text("id DESC"), "state", "team", "needs_person"]
    )  # fmt: skip


def _where(condition: str) -> dict[str, sa.TextClause]:
    """What makes an index partial, on both databases."""
    return {"sqlite_where": sa.text(condition), "postgresql_where": sa.text(condition)}
