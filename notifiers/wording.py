"""The facts of each kind of mail, in words: what the templates place. Facts that the desk did not give are left out."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from incidents.effects import NoticeKind, Outgoing
from incidents.incident import Incident, Kind
from incidents.story import REPLY_MARKER, Story
from kit.durations import tell_duration
from kit.instants import parse_instant
from kit.text import clean_text, header_text
from kit.tokens import Keyring, Purpose, Token
from notifiers.voice import Voice

#: Characters of a person's text in one mail: five times as many bytes at worst, once they are HTML.
TEXT_LIMIT = 40_000
ACKNOWLEDGE_FOR = timedelta(days=14)
PAGES_SHOWN = 50
_DELAYED_AFTER = timedelta(minutes=15)
_NO_TIME = timedelta()
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]")
_GAP = re.compile(r"\n[ \t]*\n\s*")
_URL = re.compile(r"https?://[\x21\x23-\x3b\x3d\x3f-\x5b\x5d\x5f\x61-\x7a\x7e]{1,2000}")
_PROMISES = {"respond": "First answer", "restore": "Works again", "resolve": "Solved", "next_update": "Next news"}
_TARGETS = {"respond": "first answer", "restore": "working again", "resolve": "solution", "next_update": "next update"}
_EVENTS = frozenset({"restored", "resolved", "closed", "merged", "reopened"})


class Row(NamedTuple):
    """One line of a mail's table of facts; ``strong`` where it is what the reader looks for."""

    label: str
    value: str
    strong: bool = False


@dataclass(frozen=True, slots=True)
class Telling:
    """One mail to be told, and all that its words may draw on."""

    outgoing: Outgoing
    story: Story
    voice: Voice
    now: datetime
    keyring: Keyring

    @property
    def facts(self) -> Mapping[str, Any]:
        """What the desk decided that the mail shall say."""
        return self.outgoing.facts

    def when(self, instant: datetime) -> str:
        """An instant for the reader, in the desk's zone: ``11:00 today``, ``09:30 on Mon 30 Nov``."""
        local, today = instant.astimezone(self.voice.zone), self.now.astimezone(self.voice.zone).date()
        days = (local.date() - today).days
        if days in {0, 1}:
            return f"{local:%H:%M} {('today', 'tomorrow')[days]}"
        year = "" if local.year == today.year else f" {local.year}"
        return f"{local:%H:%M} on {local:%a} {local.day} {local:%b}{year}"

    def clock(self, instant: datetime) -> str:
        """As `when`, for a line that is read at once: today goes without saying."""
        return self.when(instant).removesuffix(" today")

    def instant(self, value: Any) -> datetime | None:
        """An instant among the facts."""
        return parse_instant(value) if isinstance(value, str) else None

    def acknowledge_url(self, record: int) -> str | None:
        """The link by which this person acknowledges a record; None where the desk has no address on the web."""
        if self.voice.public_url is None:
            return None
        token = Token(Purpose.ACKNOWLEDGE, record, self.story.person.id, self.now + ACKNOWLEDGE_FOR)
        return f"{self.voice.public_url.rstrip('/')}/a/{self.keyring.sign(token)}"


def words_for(telling: Telling) -> dict[str, Any]:
    """Everything that the templates of this kind may name."""
    story, outgoing = telling.story, telling.outgoing
    incident, name = story.incident, header_text(story.person.name, 80)
    late = outgoing.kind != NoticeKind.NOTICE and telling.now - outgoing.created_at > _DELAYED_AFTER
    words: dict[str, Any] = {
        "desk": telling.voice.name,
        "zone": str(telling.voice.zone),
        "name": "" if "@" in name else name,
        "ref": incident.ref if incident else "",
        "title": header_text(incident.title) if incident else telling.voice.name,
        "noun": "request" if incident and incident.kind == Kind.SERVICE_REQUEST else "report",
        "priority": incident.priority if incident else "",
        "delayed": "at " + telling.when(outgoing.created_at) if late else None,
        "marker": None,
        "rows": [],
    }
    words.update(_KINDS[NoticeKind(outgoing.kind)](telling))
    return words


def _acknowledgement(telling: Telling) -> dict[str, Any]:
    incident, facts = telling.story.incident, telling.facts
    rows: list[Row] = []
    for name, text in facts.get("promises") or ():
        at = telling.instant(text)
        if at is not None and at > telling.now:  # a mail that was held up promises nothing that is over
            rows.append(Row(_PROMISES.get(_last(name), _plain(name)), "by " + telling.when(at), strong=True))
    understood = facts.get("understood") or (incident.title if incident else "")
    return {
        "marker": REPLY_MARKER, "understood": header_text(understood), "reopened": bool(facts.get("reopened")),
        "rows": rows + _place(incident),
    }  # fmt: skip


def _reply(telling: Telling) -> dict[str, Any]:
    text = _body(telling.story.text)
    paragraphs = _paragraphs(text[:TEXT_LIMIT])
    return {
        "marker": REPLY_MARKER, "paragraphs": paragraphs, "opening": header_text(text, 120),
        "cut": len(text) > TEXT_LIMIT, "author": header_text(telling.story.author, 80),
    }  # fmt: skip


def _status(telling: Telling) -> dict[str, Any]:
    facts = telling.facts
    event = facts.get("event")
    return {
        "marker": REPLY_MARKER, "event": event if event in _EVENTS else "",
        "into": header_text(facts.get("into") or ""),
        "paragraphs": _paragraphs(_body(facts.get("text") or "")[:TEXT_LIMIT]),
    }  # fmt: skip


def _escalation(telling: Telling) -> dict[str, Any]:
    incident, facts = telling.story.incident, telling.facts
    rows = _record(telling, incident)
    if facts.get("why"):
        rows.insert(1, Row("Why you", _why(facts, incident)))
    if facts.get("signals"):
        rows.append(Row("Signals", str(facts["signals"])))
    return {
        "first": _who_is_next(telling), "rows": rows, "url": _source_url(incident),
        "acknowledge_url": telling.acknowledge_url(incident.id) if incident else None,
    }  # fmt: skip


def _deadline(telling: Telling) -> dict[str, Any]:
    incident, facts = telling.story.incident, telling.facts
    name, due_at = facts.get("target") or "", telling.instant(facts.get("due_at"))
    what = _TARGETS.get(_last(name), _plain(_last(name)) or "the target")
    breached = bool(facts.get("breached")) or (due_at is not None and due_at < telling.now)
    first = f"{what} is due"
    if due_at is not None and breached:
        first = f"{tell_duration(max(telling.now - due_at, _NO_TIME))} over: {what} was due at {telling.clock(due_at)}"
    elif due_at is not None:
        first = f"{what} due by {telling.clock(due_at)}, in {tell_duration(due_at - telling.now)}"
    unseen = incident is not None and incident.acknowledged_at is None
    return {
        "first": first[:1].upper() + first[1:], "breached": breached,
        "rows": _record(telling, incident), "url": _source_url(incident),
        "acknowledge_url": telling.acknowledge_url(incident.id) if incident and unseen else None,
    }  # fmt: skip


def _notice(telling: Telling) -> dict[str, Any]:
    story = telling.story
    count = max(story.members, len(story.pages))
    pages = [
        {"ref": page.ref, "priority": page.priority, "title": header_text(page.title, 120),
         "url": telling.acknowledge_url(page.record)}
        for page in story.pages[:PAGES_SHOWN]
    ]  # fmt: skip
    return {"pages": pages, "more": count - len(pages), "counted": f"{count} page{'' if count == 1 else 's'} for you"}


_KINDS: Mapping[NoticeKind, Callable[[Telling], dict[str, Any]]] = {
    NoticeKind.ACKNOWLEDGEMENT: _acknowledgement,
    NoticeKind.REPLY: _reply,
    NoticeKind.STATUS: _status,
    NoticeKind.ESCALATION: _escalation,
    NoticeKind.DEADLINE: _deadline,
    NoticeKind.NOTICE: _notice,
}


def _who_is_next(telling: Telling) -> str:
    """The first line of an escalation: the deadline, and who is told after it."""
    facts, incident = telling.facts, telling.story.incident
    next_at = telling.instant(facts.get("next_at"))
    by = f"by {telling.clock(next_at)}" if next_at is not None and next_at > telling.now else "now"
    if facts.get("next"):
        return f"Acknowledge {by}. Next: {_who(facts['next'], incident)}"
    return "Acknowledge now. Nobody is told after you" if "next" in facts else "Acknowledge now"


def _who(phrase: str, incident: Incident | None) -> str:
    """Whom a policy's phrase means, such as ``on_call of team``, in words for those who do not write policy."""
    who, team = phrase.removeprefix("on_call of "), "" if incident is None else incident.team
    on_call = who != phrase
    if who == "team" and team:
        who = team if on_call else f"team {team}"
    elif who == "next tier":
        who = "the next tier"
    return _plain(f"on call for {who}" if on_call else who)


def _why(facts: Mapping[str, Any], incident: Incident | None) -> str:
    why = _who(facts["why"], incident)
    if facts.get("because"):
        why += f": {_plain(facts['because'])}"
    if facts.get("step") and facts.get("path"):
        why += f"; step {facts['step']} of path {_plain(facts['path'])}"
    return why


def _record(telling: Telling, incident: Incident | None) -> list[Row]:
    """What an agent wants to know of a record at night."""
    if incident is None:
        return []
    rated = f"{incident.ref} · {incident.severity}" + (", needs a person" if incident.needs_person else "")
    rows = [Row("Record", rated), *_place(incident)]
    if incident.resource:
        rows.append(Row("Resource", header_text(incident.resource)))
    rows.append(Row("Since", telling.when(incident.opened_at)))
    return rows


def _place(incident: Incident | None) -> list[Row]:
    if incident is None:
        return []
    service = [Row("Service", _plain(incident.service))] if incident.service else []
    return [*service, Row("With", _plain(incident.team))]


def _source_url(incident: Incident | None) -> str | None:
    url = incident.url if incident else None
    return url if url and _URL.fullmatch(url) else None


def _last(name: str) -> str:
    return str(name).rpartition(".")[2]


def _plain(word: Any) -> str:
    """A policy's word or phrase for people: ``on_call of team`` without its underscores."""
    return header_text(str(word).replace("_", " "), 120)


def _body(text: str) -> str:
    return _CONTROLS.sub("", clean_text(text).replace("\r\n", "\n").replace("\r", "\n")).strip()


def _paragraphs(text: str) -> list[str]:
    return [paragraph for paragraph in _GAP.split(text) if paragraph]
