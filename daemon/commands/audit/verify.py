"""``triagectl audit verify``: every hash worked out again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from daemon.commands.audit.app import app
from daemon.commands.command import command
from daemon.commands.output import say, say_facts, say_json
from daemon.commands.refusals import REFUSED, NotFound, Refused
from daemon.commands.session import Session, number_of

if TYPE_CHECKING:
    from datetime import datetime

    from store.audit import Verified


@command(
    app, "verify", examples=["triagectl audit verify", "triagectl audit verify --subject INC-1042 --since 2026-11-01"]
)
def verify(
    session: Session,
    *,
    subject: Annotated[
        str | None, typer.Option("--subject", metavar="REF", show_default=False, help="Only this record's chain.")
    ] = None,
    since: Annotated[
        str | None,
        typer.Option("--since", metavar="INSTANT", show_default=False, help="Only what was recorded since then."),
    ] = None,
) -> None:
    """Work out every hash of the timeline again and compare. Exit 1 when something differs."""
    from store import audit
    from store.listing.incidents import find_incident, refs_of

    number = None if subject is None else number_of(subject)
    with session.store.reading(longest=None) as connection:
        record = None if number is None else find_incident(connection, number)
        if number is not None and record is None:
            raise NotFound(f"There is no record {subject}")
        verified = audit.verify(connection, None if record is None else record.id, _instant(since))
        broken = verified.first_broken
        ref = None if broken is None else refs_of(connection, [broken.subject]).get(broken.subject)
    if session.as_json:
        say_json(_shape(verified, ref))
    else:
        _say(verified, ref)
    if broken is not None:
        raise typer.Exit(REFUSED)


def _instant(text: str | None) -> datetime | None:
    """An instant, or a day of this shell's zone from its beginning."""
    from datetime import UTC, datetime

    if text is None:
        return None
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except ValueError as error:
        raise Refused(f"{text!r} is no instant; write 2026-11-23 or 2026-11-23T08:00:00+01:00") from error


def _shape(verified: Verified, ref: str | None) -> dict[str, Any]:
    broken = verified.first_broken
    return {
        "entries": verified.entries,
        "erased_fields": verified.erased_fields,
        "checkpoints": verified.checkpoints,
        "tombstones": verified.tombstones,
        "first_broken": None
        if broken is None
        else {"subject": broken.subject or None, "ref": ref, "seq": broken.seq, "what": broken.what},
    }


def _say(verified: Verified, ref: str | None) -> None:
    broken = verified.first_broken
    say_facts([
        ("entries", str(verified.entries)),
        ("erased fields", str(verified.erased_fields)),
        ("checkpoints", str(verified.checkpoints)),
        ("tombstones", str(verified.tombstones)),
        ("first broken", "none" if broken is None else f"{_place(verified, ref)}: {broken.what}"),
    ])  # fmt: skip
    if broken is not None:
        say("Keep this database as it is, and compare it with a backup from before.")


def _place(verified: Verified, ref: str | None) -> str:
    broken = verified.first_broken
    assert broken is not None
    if not broken.subject:
        return f"checkpoint {broken.seq}"
    return f"{ref or f'record {broken.subject}'}, entry {broken.seq}"
