"""Timeline entries in words: one short sentence each, with the text that somebody wrote below it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from store.listing.timeline import EntryShown

Values = Mapping[str, Any]
#: Names of people and references of records, by id.
Names = Mapping[int, str]

#: What stands beside a move from one state to another.
_BESIDE = ("code", "reason", "waived", "vendor_reference", "vendor_promise", "symptom", "cause", "fix", "check")
_PEOPLE = ("told", "to", "assignee", "requester", "from", "into")


def mentioned(entries: Iterable[EntryShown]) -> set[int]:
    """The ids of people and records that some entries speak of."""
    found: set[int] = set()
    for entry in entries:
        for part in (entry.values, entry.values.get("before"), entry.values.get("after")):
            if isinstance(part, Mapping):
                found.update(number for name in _PEOPLE for number in _ids(part.get(name)))
    return found


def in_words(entry: EntryShown, names: Names) -> str:
    """What an entry says. What was erased is named as such."""
    said = _KINDS.get(entry.kind, _plain)(entry.values, names)
    text = entry.values.get("text")
    if isinstance(text, str) and text.strip():
        said = f"{said}\n{text.strip()}" if said else text.strip()
    acting = entry.values.get("acting_as")
    if acting:
        said += f"\n(for {acting})"
    gone = ", ".join(f"{name} (erased {why.get('erased_at', '')}, {why.get('reason', '')})" for name, why in
                     entry.erased.items())  # fmt: skip
    return f"{said}\nErased: {gone}" if gone else said


def _ids(value: Any) -> Iterable[int]:
    many = value if isinstance(value, list) else [value]
    return [number for number in many if isinstance(number, int) and not isinstance(number, bool)]


def _name(number: Any, names: Names) -> str:
    return names.get(number, "nobody") if isinstance(number, int) else "nobody"


def _named(values: Values, name: str, names: Names) -> str:
    return ", ".join(names.get(number, str(number)) for number in _ids(values.get(name))) or "nobody"


def _opened(values: Values, names: Names) -> str:
    del names
    decided = values.get("decided") or {}
    judged = ", ".join(
        f"{name} {decided[name][0]}" for name in ("priority", "severity", "service", "team") if name in decided
    )
    return f"opened: {values.get('title', '')}\n{judged}"


def _folded(values: Values, names: Names) -> str:
    del names
    if "why" in values:
        return f"could not be read again: {values['why']}"
    title = values.get("title")
    if isinstance(title, Mapping):
        return f"is called {title.get('after')} now, before: {title.get('before')}"
    if "ended" in values:
        return f"ended: {title}; {values.get('still_firing', 0)} still firing"
    return f"again: {title}" if title else "more of the same"


def _message_in(values: Values, names: Names) -> str:
    return f"mail from {_named(values, 'from', names)}: {values.get('subject', '')}"


def _message_out(values: Values, names: Names) -> str:
    return f"answered {_named(values, 'to', names)}"


def _acknowledged(values: Values, names: Names) -> str:
    assignee = values.get("assignee")
    has = f"; {_name(assignee, names)} has it" if assignee else ""
    return f"acknowledged by {values.get('channel', 'hand')}{has}"


def _changed(values: Values, names: Names) -> str:
    if "field" in values:
        said = f"{values['field']} {_arrow(values)}: {values.get('justification') or ''}"
        return said if values["field"] == "priority" else f"{said}\npriority {_arrow(values.get('priority'))}"
    if isinstance(values.get("state"), Mapping):
        beside = [f"{name}: {values[name]}" for name in _BESIDE if values.get(name)]
        return "\n".join([f"state {_arrow(values['state'])}", *beside])
    return _moved(values, names) if "after" in values else _plain(values, names)


def _moved(values: Values, names: Names) -> str:
    after = values.get("after")
    if not isinstance(after, Mapping):
        return _plain(values, names)
    has = _name(after.get("assignee"), names)
    return f"team {after.get('team')}, {has} has it\n{values.get('note') or ''}".strip()


def _reopened(values: Values, names: Names) -> str:
    del names
    return f"reopened, state {_arrow(values.get('state'))}: {values.get('reason', '')}"


def _merged(values: Values, names: Names) -> str:
    if "into" in values:
        return f"went into {_name(values['into'], names)}: {values.get('reason', '')}"
    return f"took in {_name(values.get('from'), names)}: {values.get('reason', '')}"


def _escalated(values: Values, names: Names) -> str:
    missed = values.get("missed") or []
    late = f"; missed while the desk stood still: step {', '.join(map(str, missed))}" if missed else ""
    because = f" ({values['because']})" if values.get("because") else ""
    return (
        f"escalation {values.get('path')}, step {values.get('step')}, round {values.get('round')}: "
        f"told {_named(values, 'told', names)} as {values.get('tell')}{because}{late}"
    )


def _target(values: Values, names: Names) -> str:
    if "breached" not in values:
        return _plain(values, names)
    verb = "is over since" if values["breached"] else "ends at"
    return f"{values.get('name')} {verb} {values.get('due_at')}"


def _delivery(values: Values, names: Names) -> str:
    del names
    reported = values.get("reported") or []
    lines = [f"bounced: {one.get('recipient')} {one.get('dsn')} {one.get('reason')}" for one in reported]
    return "\n".join(lines) or "a delivery was reported"


def _note(values: Values, names: Names) -> str:
    del values, names
    return "note"


def _plain(values: Values, names: Names) -> str:
    del names
    return ", ".join(f"{name} {value}" for name, value in values.items() if name not in ("visibility", "text"))


def _arrow(pair: Any) -> str:
    if not isinstance(pair, Mapping):
        return str(pair or "")
    before, after = pair.get("before"), pair.get("after")
    return str(after) if before == after else f"{before} -> {after}"


_KINDS: Mapping[str, Callable[[Values, Names], str]] = {
    "opened": _opened,
    "folded": _folded,
    "message_in": _message_in,
    "message_out": _message_out,
    "note": _note,
    "acknowledged": _acknowledged,
    "changed": _changed,
    "moved": _moved,
    "reopened": _reopened,
    "merged": _merged,
    "escalated": _escalated,
    "target": _target,
    "delivery": _delivery,
}
