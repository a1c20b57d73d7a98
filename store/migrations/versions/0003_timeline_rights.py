"""PostgreSQL itself grants nobody to change the timeline; an escalation's length is the wait for its next step.

Revision ID: 0003
The owner of a table has the rights that he leaves himself: without them his statement is refused before any trigger is
asked. Deleting stays, for retention; the trigger lets it delete only what has a tombstone.
"""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"

#: An upper bound where the step's own wait is not known: all the time since the path began.
_WAITS = """
    UPDATE targets SET length = (due_at - started_at) / 1000000
    WHERE state = 'running' AND name LIKE 'escalation.%' AND length < (due_at - started_at) / 1000000
"""


def upgrade() -> None:
    op.execute(_WAITS)
    if op.get_context().dialect.name == "postgresql":
        op.execute("REVOKE UPDATE, TRUNCATE ON timeline FROM PUBLIC, CURRENT_USER")
