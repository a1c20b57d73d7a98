"""Incidents and service requests, and the assessments made of them."""

from __future__ import annotations

from sqlalchemy import Index, Table

from store.columns import METADATA, document, ident, instant, raw, small, whole, word

#: Where a record stands that no clock runs for: after all instants, open ones first, resolved next, closed ones last.
NO_CLOCK, RESOLVED, CLOSED = 2**62, 2**62 + 1, 2**62 + 2

incidents = Table(
    "incidents",
    METADATA,
    ident(),
    whole("number", unique=True),
    word("kind"),
    word("type", nullable=True),
    word("title"),
    word("state"),
    word("team"),
    whole("assignee", nullable=True),
    word("service", nullable=True),
    word("category", nullable=True),
    small("confidential"),
    word("retention_class"),
    instant("opened_at"),
    instant("updated_at"),
    instant("closed_at", nullable=True),
    whole("version"),
    small("hold_count"),
    word("priority"),
    word("severity"),
    small("needs_person"),
    word("impact"),
    word("urgency"),
    word("severity_hint", nullable=True),
    word("floor", nullable=True),
    small("tier"),
    word("source"),
    whole("requester", nullable=True),
    word("mailbox", nullable=True),
    word("last_message_id", nullable=True),
    word("resource", nullable=True),
    word("url", nullable=True),
    document("labels"),
    word("group_key", nullable=True),
    instant("acknowledged_at", nullable=True),
    whole("acknowledged_by", nullable=True),
    instant("restored_at", nullable=True),
    instant("resolved_at", nullable=True),
    word("resolution", nullable=True),
    whole("firing"),
    whole("reopens"),
    whole("head_seq"),
    raw("head_hash"),
    instant("due_at", server_default=str(CLOSED)),  # the next clock: the earliest running promise, or as above
)
#: What has to happen first stands first, then by priority, then the newest.
QUEUE = (incidents.c.due_at, incidents.c.priority, incidents.c.id.desc())
#: In the order of the list; behind it all that lists choose and count by, so that they look at no row in vain.
Index("ix_incidents_queue", *QUEUE, incidents.c.state, incidents.c.team, incidents.c.needs_person)

assessments = Table(
    "assessments",
    METADATA,
    ident(),
    whole("incident"),
    instant("at"),
    document("fields"),  # {name: [value, reason, rule, model]}
    document("severity"),  # {"level", "probabilities", "needs_person"}
    word("policy_version"),
)
Index("ix_assessments_incident", assessments.c.incident)
