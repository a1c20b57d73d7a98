"""What rules may read of a signal or a record."""

from __future__ import annotations

from datetime import datetime

from incidents.incident import Incident
from incidents.signal import Alert, Mail
from rules.facts import Facts


def facts_of_alert(alert: Alert, *, source: str, at: datetime) -> Facts:
    """An alert as rules read it."""
    return Facts(
        "alert", source, at, alert.title, text=alert.summary, subject=alert.title, labels=alert.labels,
        resource=alert.resource, service=alert.service,
    )  # fmt: skip


def facts_of_mail(mail: Mail, *, source: str, recipient: str, at: datetime) -> Facts:
    """A mail as rules read it."""
    sender = mail.sender.address if mail.sender is not None else ""
    return Facts(
        "mail", source, at, mail.subject, text=mail.new_text or mail.text, subject=mail.subject, sender=sender,
        recipient=recipient,
    )  # fmt: skip


def facts_of(incident: Incident, at: datetime) -> Facts:
    """A record as rules read it, once it is judged."""
    return Facts(
        "mail" if incident.mailbox else "alert", incident.source, at, incident.title, labels=incident.labels,
        resource=incident.resource, service=incident.service, category=incident.category, kind=incident.kind,
        impact=incident.impact, urgency=incident.urgency, severity=incident.severity, priority=incident.priority,
        team=incident.team, state=incident.state,
    )  # fmt: skip
