"""``triagectl policy explain``: what the policy would say of a mail or a payload; nothing is stored."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from daemon.commands.command import command
from daemon.commands.output import say, say_json, say_table
from daemon.commands.policy.app import app
from daemon.commands.refusals import Refused
from daemon.commands.session import Session

if TYPE_CHECKING:
    from collections.abc import Iterator

    from incidents.assessment import Assessment
    from rules.facts import Facts
    from rules.policy import Policy


@command(
    app, "explain",
    examples=[
        "triagectl policy explain report.eml",
        "triagectl policy explain --format alertmanager --source prometheus firing.json",
    ],
)  # fmt: skip
def explain(
    session: Session,
    *,
    file: Annotated[str, typer.Argument(metavar="FILE", help="A mail or a payload; - is standard input.")],
    name: Annotated[
        str, typer.Option("--format", metavar="NAME", help="mail, alertmanager, pagerduty or json.")
    ] = "mail",
    source: Annotated[
        str | None, typer.Option("--source", metavar="NAME", show_default=False, help="As if it came from there.")
    ] = None,
    to: Annotated[
        str | None, typer.Option("--to", metavar="ADDRESS", show_default=False, help="As if it came to there.")
    ] = None,
) -> None:  # fmt: skip
    """What the policy would make of a mail or a payload, with the rule for every field. Nothing is stored."""
    recipient = to or next(iter(session.config.addresses), "")
    items = [
        _explained(session, facts, hint) for facts, hint in _facts(session, file, name, source or name, recipient)
    ]
    if not items:
        raise Refused(f"{file} holds nothing that opens a record")
    if session.as_json:
        say_json({"items": items, "next": None})
        return
    for item in items:
        _say(item)


def _facts(
    session: Session, file: str, name: str, source: str, recipient: str
) -> Iterator[tuple[Facts, str | None]]:
    """What rules may read of each item, and its hint of the severity."""
    from desk.facts import facts_of_alert, facts_of_mail
    from incidents.signal import Alert
    from ingest.registry import load_alert_format, load_mail_format

    try:
        body = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except OSError as error:
        raise Refused(f"{file} cannot be read: {error.strerror}") from error
    if name == "mail":
        mail = load_mail_format().parse(body, {"to": [recipient]}, trust=session.config.trust.authserv_id)
        yield facts_of_mail(mail, source=source, recipient=recipient, at=session.now), None
        return
    for item in load_alert_format(name).parse(body):
        if isinstance(item, Alert):
            yield facts_of_alert(item, source=source, at=session.now), item.severity_hint


def _explained(session: Session, facts: Facts, hint: str | None) -> dict[str, Any]:
    from triage.assess import assess

    policy = session.policy
    assessment, filled = assess(facts, hint=hint, policy=policy)
    path = policy.path_for(filled)
    return {
        "title": facts.title,
        "fields": _fields(assessment),
        "targets": [
            {
                "name": f"sla.{one.name}", "length_seconds": int(one.length.total_seconds()), "calendar": one.calendar,
            }
            for one in policy.promises(filled)
        ],
        "escalation": None
        if path is None
        else {"path": path.name, "steps": _steps(policy, path.name, filled, assessment)},
    }  # fmt: skip


def _fields(assessment: Assessment) -> dict[str, dict[str, Any]]:
    return {
        name: {
            "value": said.value, "reason": said.reason, "rule": said.rule, "model": said.model,
            "policy_version": assessment.policy_version, "at": assessment.at,
        }
        for name, said in assessment.fields.items()
    }  # fmt: skip


def _steps(policy: Policy, path: str, facts: Facts, assessment: Assessment) -> list[dict[str, Any]]:
    """Who would be told at each step, were it due now."""
    tier = int(assessment.value("start_tier") or 1)
    return [
        {
            "after_seconds": int(step.after.total_seconds()),
            "tell": step.tell,
            "told": [
                one.handle or one.address
                for one in policy.tell(step.tell, service=facts.service, tier=tier, now=facts.at)
            ],
        }
        for step in policy.paths[path].steps
    ]


def _say(item: dict[str, Any]) -> None:
    say(item["title"])
    rows = [(name, said["value"], said["reason"], said["rule"]) for name, said in item["fields"].items()]
    say_table(("field", "value", "because", "rule"), rows, empty="")
    say("")
    clocks = [(one["name"], _span(one["length_seconds"]), one["calendar"]) for one in item["targets"]]
    say_table(("promise", "within", "calendar"), clocks, empty="Nothing is promised.")
    if item["escalation"] is not None:
        say("")
        steps = item["escalation"]["steps"]
        told = [(_span(one["after_seconds"]), one["tell"], ", ".join(one["told"])) for one in steps]
        say_table(("after", "tell", "now that is"), told, empty="")
    say("")


def _span(seconds: int) -> str:
    from datetime import timedelta

    from kit.durations import tell_duration

    return tell_duration(timedelta(seconds=seconds))
