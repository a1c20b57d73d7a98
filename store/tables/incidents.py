"""Incidents and service requests, and the assessments made of them."""

from __future__ import annotations

from sqlalchemy import Index, Table, text

from store.columns import METADATA, document, ident, instant, raw, small, whole, word

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
)
Index(
    "ix_incidents_open", incidents.c.state, incidents.c.priority, incidents.c.id,
    sqlite_where=text("closed_at IS NULL"), postgresql_where=text("closed_at IS NULL"),
)

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
