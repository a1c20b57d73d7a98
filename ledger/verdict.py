"""The end of a run: what was promised, beside what is there."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, and_, func, select

from ledger.house import STEPS
from ledger.sink import Mail
from store.audit import verify
from store.reconcile import reconcile
from store.tables.incidents import incidents
from store.tables.outbox import outbox
from store.tables.receipts import receipts
from store.tables.signals import signals
from store.tables.targets import targets
from store.tables.timeline import timeline, timeline_values

#: Warnings of a promise before it is broken, by the house's policy.
WARNINGS = 2
#: Faults that are told of one kind; none are counted beyond.
MOST = 10


@dataclass(frozen=True, slots=True)
class Expected:
    """What there must be: the titles of all records, of those that page, and receipts by format."""

    titles: frozenset[str]
    paging: frozenset[str]
    receipts: Mapping[str, int]
    promised: frozenset[int]


@dataclass
class Verdict:
    """What was found; a run is good when `faults` is empty."""

    sent: int = 0
    lost: int = 0
    doubled: int = 0
    quarantined: int = 0
    notifications: int = 0
    handed_over: int = 0
    two_message_ids: int = 0
    unequal: int = 0
    escalations: int = 0
    faults: list[str] = field(default_factory=list)

    def tell(self, what: str, found: Iterable[object]) -> int:
        """Note a fault where anything was found; how many there were."""
        told = list(found)
        if told:
            self.faults.append(f"{what}: {len(told)}, such as {', '.join(str(one) for one in told[:MOST])}")
        return len(told)


def find_undone(connection: Connection) -> str:
    """What the desk still has to do; empty when it is idle."""
    waiting = {
        "receipts": _count(connection, receipts.c.state == "waiting"),
        "notifications": _count(connection, outbox.c.next_at.is_not(None)),
        "escalations": _count(connection, and_(targets.c.name.like("escalation.%"), targets.c.next_at.is_not(None))),
        "promises": _count(connection, and_(_SHORT_PROMISES, targets.c.next_at.is_not(None))),
    }
    return ", ".join(f"{count} {name}" for name, count in waiting.items() if count)


#: Those of the house's policy that are over within a run; lengths are seconds.
_SHORT_PROMISES = and_(targets.c.name == "sla.respond", targets.c.length < STEPS * 15)


def judge(connection: Connection, expected: Expected, handed: Sequence[Mail]) -> Verdict:
    """Compare everything."""
    verdict = Verdict(sent=len(expected.titles))
    _judge_records(connection, expected, verdict)
    _judge_receipts(connection, expected, verdict)
    _judge_mail(connection, handed, verdict)
    _judge_timers(connection, expected, verdict)
    verdict.tell("reconcile", (f"{one.name} {one.what}" for one in reconcile(connection).differences))
    broken = verify(connection).first_broken
    verdict.tell("the chain is broken", [broken] if broken is not None else [])
    return verdict


def _judge_records(connection: Connection, expected: Expected, verdict: Verdict) -> None:
    """Everything that was sent is there, once."""
    found = Counter(connection.execute(select(incidents.c.title)).scalars())
    verdict.lost = verdict.tell("lost", sorted(expected.titles - found.keys()))
    verdict.doubled = verdict.tell("doubled", sorted(title for title, count in found.items() if count > 1))
    verdict.tell("records that nobody sent", sorted(found.keys() - expected.titles))
    mails = select(signals.c.title).where(signals.c.status == "mail", signals.c.repeats.is_(None))
    twice = Counter(connection.execute(mails).scalars())
    verdict.doubled += verdict.tell("mails worked twice", sorted(title for title, count in twice.items() if count > 1))


def _judge_receipts(connection: Connection, expected: Expected, verdict: Verdict) -> None:
    """Every receipt that a sender was told of is there, repeats made none, and none is in quarantine."""
    there = set(connection.execute(select(receipts.c.id)).scalars())
    verdict.lost += verdict.tell("promised receipts that are gone", sorted(expected.promised - there))
    by_format = select(receipts.c.format, func.count()).group_by(receipts.c.format)
    counted = {str(form): int(count) for form, count in connection.execute(by_format)}
    for form, count in expected.receipts.items():
        verdict.doubled += verdict.tell(f"{form}: receipts too many", range(counted.get(form, 0) - count))
    aside = select(receipts.c.id, receipts.c.error).where(receipts.c.state == "quarantined")
    found = (f"receipt {number}: {error}" for number, error in connection.execute(aside))
    verdict.quarantined = verdict.tell("quarantined", found)


def _judge_mail(connection: Connection, handed: Sequence[Mail], verdict: Verdict) -> None:
    """Every notification reached the relay, under one Message-ID and with equal bytes however often."""
    rows = connection.execute(
        select(outbox.c.id, outbox.c.kind, outbox.c.state, outbox.c.recipient, outbox.c.message_id, outbox.c.subject,
               outbox.c.facts, outbox.c.reason)
    ).all()  # fmt: skip
    verdict.notifications, verdict.handed_over = len(rows), len(handed)
    by_id: dict[str, set[bytes]] = defaultdict(set)
    for mail in handed:
        by_id[mail.message_id].add(mail.digest)
    delivered = [row for row in rows if row.state == "delivered"]
    others = (row for row in rows if row.state != "delivered")
    verdict.tell("not told", (f"{row.kind} {row.id} is {row.state} {row.reason}" for row in others))
    verdict.tell("told and never handed over", (row.id for row in delivered if row.message_id not in by_id))
    verdict.tell("mails that nobody ordered", sorted(by_id.keys() - {row.message_id for row in rows}))
    unequal = (name for name, digests in by_id.items() if len(digests) > 1)
    verdict.unequal = verdict.tell("Message-IDs with unequal bytes", unequal)
    due: dict[tuple[object, ...], set[str]] = defaultdict(set)
    for row in rows:
        due[_due(row)].add(row.message_id)
    twice = [key for key, names in due.items() if len(names) > (WARNINGS if key[0] == "warning" else 1)]
    verdict.two_message_ids = verdict.tell("notifications with two Message-IDs", twice)


def _due(row: Any) -> tuple[object, ...]:
    """What makes a notification the same one: what it tells, of what, and to whom."""
    facts = json.loads(row.facts)
    told = tuple(str(facts.get(name)) for name in ("path", "step", "target", "breached"))
    return ("warning" if facts.get("breached") is False else row.kind, row.subject, row.recipient, *told)


def _judge_timers(connection: Connection, expected: Expected, verdict: Verdict) -> None:
    """Each step of each path was taken once or is told as missed, and each promise was broken once."""
    steps: dict[str, list[int]] = {title: [] for title in expected.paging}
    breaches: Counter[str] = Counter()
    for title, kind, values in connection.execute(_TIMED):
        said = {name: kept[1] for name, kept in json.loads(values).items() if isinstance(kept, list)}
        if kind == "escalated":
            steps.setdefault(title, []).extend([*said["missed"], said["step"]])
        elif said["name"] == "sla.respond" and said["breached"]:
            breaches[title] += 1
    verdict.escalations = sum(len(fired) for fired in steps.values())
    wrong = (f"{title} {fired}" for title, fired in steps.items() if sorted(fired) != list(range(1, STEPS + 1)))
    verdict.tell("escalations that did not go step by step", wrong)
    verdict.tell("promises not broken once", (title for title in expected.paging if breaches[title] != 1))


_VALUES = timeline_values.c
_TIMED = (
    select(incidents.c.title, timeline.c.kind, _VALUES["values"])
    .join(timeline, timeline.c.subject == incidents.c.id)
    .join(timeline_values, and_(_VALUES.subject == timeline.c.subject, _VALUES.seq == timeline.c.seq))
    .where(timeline.c.kind.in_(("escalated", "target")))
    .order_by(timeline.c.subject, timeline.c.seq)
)


def _count(connection: Connection, condition: Any) -> int:
    return connection.execute(select(func.count()).where(condition)).scalar_one()
