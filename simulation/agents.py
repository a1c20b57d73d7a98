"""What agents do to records: by the link in a page, or by a command."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from daemon.acts import Acts
from daemon.desks import agent_author
from desk.errors import DeskError
from desk.restore import Resolution
from incidents.person import Author
from simulation.events import Acted
from simulation.world import World

_NOTES = {"symptom": "it failed", "cause": "known", "fix": "mended", "check": "it works"}
_TOKEN_LENGTH = 40


@dataclass(frozen=True)
class Command:
    """A command of somebody about a record. ``other`` is what the verb needs."""

    acts: Acts
    ref: str
    other: str
    by: Author
    now: datetime


def act(world: World, acted: Acted) -> None:
    """Do it; a refusal is an answer too."""
    record, person = world.record_of(acted.thing), world.house.desk.agents[acted.who]
    number, author = world.number_of(record), agent_author(world.house.desk, person)
    if record is None or number is None or author is None:
        return
    other = acted.other
    if acted.verb == "merge":
        other = f"INC-{world.number_of(world.record_of(other))}"
    command = Command(world.house.acts, f"INC-{number}", other, author, world.now)

    def do() -> None:
        if acted.verb == "link":
            _click(world, str(person.address), record)
        else:
            _VERBS[acted.verb](command)

    try:
        world.survive(do, whole=True)
    except DeskError as refusal:
        world.last.append(f"  refused: {refusal}")


def interrupt(world: World, acted: Acted) -> None:
    """Do it in the middle of somebody else's turn: by a process of its own, which nothing strikes."""
    faults = world.house.faults
    armed, faults.armed = faults.armed, []
    acts, world.house.acts = world.house.acts, Acts(world.house.store, lambda: world.house.desk)
    try:
        world.last.append(f"{world.when} meanwhile {acted!r}")
        act(world, acted)
    finally:
        faults.armed, world.house.acts = armed, acts


def _click(world: World, address: str, record: int) -> None:
    """The link in the last page of this record, and the button behind it."""
    page = world.told.get((address, record))
    token = b"" if page is None else page.body.partition(b"/a/")[2][:_TOKEN_LENGTH]
    if world.down or len(token) < _TOKEN_LENGTH:
        return
    asked = world.house.pages.asked(token.decode(), world.now)
    if asked is not None:
        world.house.pages.acknowledge(token.decode(), asked.form, world.now)


def _acknowledge(it: Command) -> None:
    it.acts.acknowledge(it.ref, by=it.by, now=it.now, channel="command", assignable=True)


def _assign(it: Command) -> None:
    it.acts.assign(it.ref, by=it.by, now=it.now, to=it.other, team=None)


def _note(it: Command) -> None:
    it.acts.note(it.ref, by=it.by, now=it.now, text="I looked at it")


def _reply(it: Command) -> None:
    it.acts.reply(it.ref, by=it.by, now=it.now, text="We are on it")


def _set(it: Command) -> None:
    why = "as I know the place"
    it.acts.set(it.ref, by=it.by, now=it.now, field="priority", value=it.other, justification=why)


def _wait(it: Command) -> None:
    it.acts.wait(it.ref, by=it.by, now=it.now, on=it.other, reason="a question", reference="V-1", promise="tomorrow")


def _resume(it: Command) -> None:
    it.acts.resume(it.ref, by=it.by, now=it.now, reason="it came")


def _restore(it: Command) -> None:
    it.acts.restore(it.ref, by=it.by, now=it.now, text="it works")


def _resolve(it: Command) -> None:
    waived = "the owner is not to be reached" if it.other else None
    it.acts.resolve(it.ref, by=it.by, now=it.now, resolution=Resolution(_NOTES, "solved", waived))


def _reopen(it: Command) -> None:
    it.acts.reopen(it.ref, by=it.by, now=it.now, reason="not yet")


def _close(it: Command) -> None:
    it.acts.close(it.ref, by=it.by, now=it.now, reason="no work")


def _merge(it: Command) -> None:
    it.acts.merge(it.ref, into=it.other, by=it.by, now=it.now, reason="the same thing")


_VERBS: Mapping[str, Callable[[Command], None]] = {
    "ack": _acknowledge, "assign": _assign, "note": _note, "reply": _reply, "set": _set, "wait": _wait,
    "resume": _resume, "restore": _restore, "resolve": _resolve, "reopen": _reopen, "close": _close, "merge": _merge,
}
