"""``triagectl incident why``: how every field got its value."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from daemon.commands.command import command
from daemon.commands.incident.app import RefArgument, app
from daemon.commands.incident.show import load_shown
from daemon.commands.output import local, say, say_json, say_table
from daemon.commands.session import Session

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from incidents.assessment import Assessment
    from incidents.incident import Incident
    from store.listing.incidents import IncidentShown
    from store.listing.signals import SignalLine

#: The first of a record's signals that are shown with their reasons.
_MOST_SIGNALS = 50


@command(app, "why", examples=["triagectl incident why INC-1042", "triagectl incident why INC-1042 --json"])
def why(session: Session, *, ref: RefArgument) -> None:
    """How every field got its value, which rule routed the record, and why each signal belongs to it."""
    from store.listing.incidents import all_assessments
    from store.listing.signals import Asked, list_signals

    shown = load_shown(session, ref)
    with session.reading() as connection:
        judged = all_assessments(connection, shown.line.incident.id)
        page = list_signals(connection, Asked(incident=shown.line.incident.id), limit=_MOST_SIGNALS)
    fields = explain(judged)
    if session.as_json:
        say_json(_shape(shown, fields, page.items))
        return
    _say(shown.line.incident, fields, page.items)


def explain(judged: Sequence[Assessment]) -> dict[str, dict[str, Any]]:
    """Every field of the newest assessment, each dated by the first one that said the same without a break."""
    fields: dict[str, dict[str, Any]] = {}
    for assessment in judged:
        for name, decided in assessment.fields.items():
            said = {
                "value": decided.value, "reason": decided.reason, "rule": decided.rule, "model": decided.model,
            }  # fmt: skip
            before = fields.get(name)
            if before is None or any(before[key] != value for key, value in said.items()):
                fields[name] = {**said, "policy_version": assessment.policy_version, "at": assessment.at}
    return {name: fields[name] for name in judged[-1].fields} if judged else {}


def _shape(shown: IncidentShown, fields: Mapping[str, Any], signals: Sequence[SignalLine]) -> dict[str, Any]:
    from daemon.commands.shapes import incident_shape, signal_shape

    return {
        **incident_shape(shown.line),
        "fields": dict(fields),
        "routed_by": {"rule": _routing(fields), "team": shown.line.incident.team, "tier": shown.line.incident.tier},
        "folds": [signal_shape(line) for line in signals],
    }


def _say(incident: Incident, fields: Mapping[str, Any], signals: Sequence[SignalLine]) -> None:
    from daemon.commands.signal.reasons import sentence_of

    say(f"{incident.ref}  {incident.title}")
    say("")
    rows = [
        (name, said["value"], said["reason"], said["rule"] or said["model"], said["policy_version"], local(said["at"]))
        for name, said in fields.items()
    ]
    say_table(
        ("field", "value", "because", "rule or model", "policy", "decided"), rows,
        empty="Nothing was judged: the record was opened by hand with every field given.",
    )  # fmt: skip
    say("")
    by = _routing(fields)
    rule = f"the rule {by}" if by else "the last line of routing"
    say(f"Routed to {incident.team}, tier {incident.tier}, by {rule}.")
    say("")
    told = [
        (line.name, local(line.received_at), line.disposition, sentence_of(line.reason, line.disposition), line.title)
        for line in signals
    ]
    say_table(("signal", "received", "became", "because", "title"), told, empty="No signal: it was opened by hand.")


def _routing(fields: Mapping[str, Any]) -> str | None:
    tier = fields.get("start_tier")
    return None if tier is None else tier["rule"]
