"""Moving a record through its lifecycle: the one check that every verb makes."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from desk.errors import Missing, NoSuchMove, NotAllowed
from incidents.incident import Incident
from incidents.person import Author
from rules.policy import Policy


def check_role(incident: Incident | None, action: str, *, by: Author, policy: Policy) -> None:
    """Raise `NotAllowed` unless one of the author's roles may do this; machines act by rule, not by role."""
    if not by.human:
        return
    own_team = incident is None or by.team == incident.team
    sentence = policy.refusal(action, by.roles, own_team=own_team)
    if sentence is not None:
        raise NotAllowed(sentence)


def check_move(
    incident: Incident, end: str, *, by: Author, at: datetime, policy: Policy, filled: Mapping[str, str | None]
) -> None:
    """Raise unless the lifecycle allows the move, in time, and a person has filled what the state needs."""
    lifecycle = policy.lifecycles[incident.kind]
    move = lifecycle.move(incident.state, end)
    if move is None:
        ends = ", ".join(lifecycle.ends_from(incident.state)) or "nothing"
        raise NoSuchMove(f"{incident.ref} is {incident.state} and can't become {end}; from there it can become {ends}")
    since = incident.closed_at or incident.resolved_at
    if move.within is not None and since is not None and at - since > move.within:
        raise NoSuchMove(
            f"{incident.ref} was {incident.state} for longer than policy allows to bring it back; open a new one"
        )
    if not by.human:
        return
    if move.roles and not move.roles & by.roles:
        raise NotAllowed(f"{incident.state} to {end} needs the role {' or '.join(sorted(move.roles))}")
    missing = [need for need in lifecycle.states[end].needs if not (filled.get(need) or "").strip()]
    if missing:
        raise Missing(f"{end} needs {', '.join(missing)}")


def waits_for_business(incident: Incident, policy: Policy) -> bool:
    """Whether restored is not resolved here until the business owner says so."""
    return incident.priority in policy.lifecycles[incident.kind].stays_restored_for
