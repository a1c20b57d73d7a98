"""``triagectl signal parse``: what the desk understands of some bytes; nothing is stored."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from daemon.commands.command import command
from daemon.commands.output import say_json
from daemon.commands.refusals import REFUSED, Refused
from daemon.commands.session import Session
from daemon.commands.signal.app import app

if TYPE_CHECKING:
    from collections.abc import Sequence

    from incidents.signal import Alert, Item, Mail


@command(
    app, "parse",
    examples=["triagectl signal parse --format mail report.eml", "triagectl signal parse --format alertmanager *.json"],
)  # fmt: skip
def parse(
    session: Session,
    *,
    files: Annotated[list[str], typer.Argument(metavar="FILE…", help="Files, each a receipt; - is standard input.")],
    name: Annotated[
        str, typer.Option("--format", metavar="NAME", help="mail, alertmanager, pagerduty or json.")
    ] = "mail",
) -> None:  # fmt: skip
    """Show what the desk understands of mails and payloads: one JSON line a file. Nothing is stored."""
    del session  # it needs neither configuration nor store
    failed = False
    for file in files:
        shape = _parse(name, _read(file))
        failed = failed or "error" in shape
        say_json({"file": file, "format": name, **shape}, compact=True)
    if failed:
        raise typer.Exit(REFUSED)


def _read(file: str) -> bytes:
    if file == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(file).read_bytes()
    except OSError as error:
        raise Refused(f"{file} cannot be read: {error.strerror}") from error


def _parse(name: str, body: bytes) -> dict[str, Any]:
    from ingest.registry import load_alert_format, load_mail_format
    from ingest.spec import Unreadable

    if name == "mail":
        return mail_shape(load_mail_format().parse(body, {}))
    try:
        return items_shape(load_alert_format(name).parse(body))
    except Unreadable as error:
        return {"error": str(error)}


def mail_shape(mail: Mail) -> dict[str, Any]:
    """A mail as the desk understands it."""
    return {
        "sender": None if mail.sender is None else {"address": mail.sender.address, "name": mail.sender.name},
        "recipients": list(mail.recipients),
        "copied": [{"address": one.address, "name": one.name} for one in mail.copied],
        "subject": mail.subject,
        "sent_at": mail.sent_at,
        "message_id": mail.message_id,
        "in_reply_to": mail.in_reply_to,
        "references": list(mail.references),
        "text": mail.text,
        "new_text": mail.new_text,
        "quoted": mail.quoted,
        "html": mail.html,
        "attachments": [
            {
                "name": part.name, "type": part.type, "size": part.size, "inline": part.inline, "sha256": part.sha256,
            }
            for part in mail.attachments
        ],
        "automatic": mail.automatic,
        "bounce": None
        if mail.bounce is None
        else [
            {"recipient": one.recipient, "dsn": one.dsn, "hard": one.hard, "reason": one.reason} for one in mail.bounce
        ],
        "bounced_message_id": mail.bounced_message_id,
        "spam": mail.spam,
        "verified": mail.verified,
        "hops": mail.hops,
        "notes": list(mail.notes),
    }  # fmt: skip


def items_shape(items: Sequence[Item]) -> dict[str, Any]:
    """The alerts of a payload, and the items that could not be read."""
    from incidents.signal import Alert, Refused

    return {
        "alerts": [_alert_shape(item) for item in items if isinstance(item, Alert)],
        "refused": [{"path": item.path, "why": item.why} for item in items if isinstance(item, Refused)],
    }


def _alert_shape(alert: Alert) -> dict[str, Any]:
    return {
        "status": alert.status,
        "key": alert.key,
        "title": alert.title,
        "summary": alert.summary,
        "severity_hint": alert.severity_hint,
        "resource": alert.resource,
        "service": alert.service,
        "labels": dict(alert.labels),
        "annotations": dict(alert.annotations),
        "url": alert.url,
        "starts_at": alert.starts_at,
        "ends_at": alert.ends_at,
        "group_key": alert.group_key,
    }
