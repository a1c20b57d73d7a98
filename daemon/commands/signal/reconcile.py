"""``triagectl signal reconcile``: proof that nothing was dropped."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from daemon.commands.command import command
from daemon.commands.output import say, say_facts, say_json, say_table
from daemon.commands.refusals import REFUSED
from daemon.commands.session import Session
from daemon.commands.signal.app import app

if TYPE_CHECKING:
    from collections.abc import Mapping

    from store.reconcile import Reconciled


@command(app, "reconcile", examples=["triagectl signal reconcile", "triagectl signal reconcile --json"])
def reconcile(session: Session) -> None:
    """Prove that nothing that was accepted was dropped, and nothing counts that never came. Exit 1 on a difference."""
    from store.reconcile import reconcile as compare

    with session.store.reading(longest=None) as connection:
        found = compare(connection)
    if session.as_json:
        say_json(_shape(found))
    else:
        _say(found)
    if found.differences:
        raise typer.Exit(REFUSED)


def _shape(found: Reconciled) -> dict[str, Any]:
    return {
        "receipts": dict(found.receipts),
        "items": dict(found.items),
        "signals": found.signals,
        "incidents": found.incidents,
        "fold_keys": found.fold_keys,
        "differences": [{"name": one.name, "what": one.what} for one in found.differences],
    }


def _say(found: Reconciled) -> None:
    say_facts([
        ("receipts", f"{sum(found.receipts.values())}{_parts(found.receipts)}"),
        ("items", f"{sum(found.items.values())}{_parts(found.items)}"),
        ("signals", str(found.signals)),
        ("incidents", str(found.incidents)),
        ("fold keys", str(found.fold_keys)),
    ])  # fmt: skip
    say("")
    say_table(
        ("what", "difference"), [(one.name, one.what) for one in found.differences],
        empty="No difference: every receipt is accounted for.",
    )  # fmt: skip
    if found.differences:
        say("Keep this database as it is, and report what is above.")


def _parts(counts: Mapping[str, int]) -> str:
    parts = ", ".join(f"{count} {name}" for name, count in counts.items())
    return f": {parts}" if parts else ""
