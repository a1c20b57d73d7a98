"""Take a change into the working set: the record, its entries, its clocks, and what is to be told."""

from __future__ import annotations

from desk.change import Change
from desk.clocks import move_target
from desk.tell import tell
from desk.working import Working
from incidents.incident import Incident


def apply(working: Working, change: Change) -> Incident:
    """Take in what one desk function decided; gives the record as it now stands."""
    incident, subject = change.incident, change.incident.id
    if subject in working.opened:
        working.opened[subject] = incident
    else:
        working.changed.setdefault(subject, incident.version)
    working.incidents[subject] = incident
    for entry in change.entries:
        working.write(subject, entry)
    for move in change.targets:
        move_target(working, subject, move, change.at)
    for participant in change.participants:
        working.join(participant)
    for notify in change.notify:
        tell(working, incident, notify)
    working.links.extend(change.links)
    if change.assessment is not None:
        working.assessments.append((working.ids.row(), subject, change.assessment))
    if change.keys_to is not None:
        working.moved_keys.append((subject, change.keys_to))
        working.merged_into[subject] = change.keys_to
    return incident
