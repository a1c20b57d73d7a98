"""Plays a story: lets the made-up clock run from event to event and from timer to timer, and checks after each step."""

from __future__ import annotations

import heapq
import random
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from email.parser import BytesHeaderParser
from email.utils import parseaddr
from itertools import count
from typing import Any

import structlog
from sqlalchemy.exc import SQLAlchemyError

from daemon.desks import agent_author
from daemon.outbox import pause_after
from desk.errors import DeskError
from desk.receive import Receipt, mail_receipt_key
from desk.restore import Resolution
from incidents.person import Author
from kit.instants import from_micros, to_micros
from simulation.checks import Broken, Checks, Sight, hold
from simulation.events import (
    Acted,
    Bounced,
    ClockJumped,
    Event,
    Left,
    MailRepeated,
    MailSent,
    Nature,
    PolicyChanged,
    Posted,
    RelayFailed,
    Stopped,
    Struck,
    Way,
)
from simulation.events import Point as _Point
from simulation.faults import Crash
from simulation.house import ADDRESSES, House, Setting, policy_of
from simulation.letters import message_id, write_event, write_group, write_mail, write_report
from simulation.model import Accepted, Fate, Model
from simulation.relay import Taken
from simulation.watching import Watch
from store.audit import verify
from store.errors import StoreError
from store.reconcile import reconcile

START = datetime.fromisoformat("2026-01-05T00:00:00+00:00")
_FULL_EVERY = 300
_MAIL_AGAIN, _POST_AGAIN = 900, 60
_AFTERWARDS = 20 * 86_400
_MOST_ROUNDS = 200
#: Retries of mails are looked at together, every so many seconds, for during an outage there are thousands.
_RETRY_GRID = 20
_NOTES = {"symptom": "it failed", "cause": "known", "fix": "mended", "check": "it works"}


@dataclass(frozen=True)
class Story:
    """A seed, what its product draws by chance, and the events."""

    seed: int
    events: Sequence[Event]


@dataclass(frozen=True)
class Failure:
    """A guarantee that did not hold: at which step, and the last steps before it."""

    invariant: str
    what: str
    step: int
    at: int
    last: Sequence[str]


@dataclass
class Played:
    """What became of a story."""

    steps: int = 0
    rounds: int = 0
    deaths: int = 0
    receipts: int = 0
    records: int = 0
    mails: int = 0
    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class Sending:
    """Bytes on their way to a door, sent again until it says yes."""

    receipt: Receipt
    accepted: Accepted
    again: int


@dataclass
class Player:
    """One story on its way."""

    story: Story
    setting: Setting
    real: int = 0  # seconds on the wall of the street
    ahead: int = 0  # how far the desk's clock is from it
    down_until: int = 0
    relay_back: int = 0
    paused_until: int = 0
    troubles: int = 0
    played: Played = field(default_factory=Played)
    model: Model = field(default_factory=Model)
    away: dict[str, Left] = field(default_factory=dict)
    last: deque[str] = field(default_factory=lambda: deque(maxlen=12))

    def __post_init__(self) -> None:
        random.seed(self.story.seed)
        self.logged: list[dict[str, Any]] = []
        structlog.configure(processors=[self._log])
        self.house = House(self.setting, seed=self.story.seed, now=self.now)
        self.watch = Watch(self.setting.folder / "triaged.db")
        self.checks = Checks()
        self.variant = "plain"
        self._order = count()
        self._heap: list[tuple[int, int, Event | Sending]] = []
        for event in self.story.events:
            self._later(event.at, event)
        self._bodies: dict[str, tuple[MailSent, bytes]] = {}
        self._by_record: dict[tuple[str, int], Taken] = {}
        self._read_mails = 0

    @property
    def now(self) -> datetime:
        """What the desk's clock says."""
        return START + timedelta(seconds=self.real + self.ahead)

    def _log(self, logger: object, name: str, said: Any) -> Any:
        del logger
        if name in ("error", "critical"):
            self.logged.append(dict(said))
        raise structlog.DropEvent

    def _later(self, at: int, what: Event | Sending) -> None:
        heapq.heappush(self._heap, (at, next(self._order), what))

    # ------------------------------------------------------------------ the course of things

    def play(self) -> Played:
        """Play to the end or to the first broken guarantee."""
        try:
            self._course()
        except Broken as broken:
            self._fail(broken.invariant, broken.what)
        except Crash as crash:
            self._fail("a death stays where it is", str(crash))
        except (Exception, SQLAlchemyError) as error:  # whatever goes wrong in a story is a finding
            self._fail("no surprise", f"{type(error).__name__}: {error}", error)
        finally:
            self.watch.close()
            self.house.close()
            structlog.reset_defaults()
        return self.played

    def _fail(self, invariant: str, what: str, error: BaseException | None = None) -> None:
        last = list(self.last)
        trace = error.__traceback__ if error is not None else None
        while trace is not None:
            code = trace.tb_frame.f_code
            last.append(f"  in {code.co_name}, {code.co_filename.rpartition('/main/')[2]}:{trace.tb_lineno}")
            trace = trace.tb_next
        self.played.failure = Failure(invariant, what, self.played.steps, self.real, last)

    def _course(self) -> None:
        self._check("the desk begins")
        while self._heap:
            at = self._heap[0][0]
            self._live_until(at)
            _, _, what = heapq.heappop(self._heap)
            self.real = max(self.real, at)
            self._meet(what)
            self._settle()
            self._check(_told(what))
        self._end()

    def _live_until(self, at: int) -> None:
        """Let every timer before ``at`` fire at its instant."""
        while (wake := self._wake()) is not None and wake < at:
            self.real = max(self.real, wake)
            if self._settle():
                self._check("time passes")

    def _wake(self) -> int | None:
        """The next instant at which the desk has something to do by itself."""
        instants = self.watch.rows(
            "SELECT (SELECT min(next_at) FROM targets WHERE next_at IS NOT NULL),"
            " (SELECT min(next_at) FROM outbox WHERE next_at IS NOT NULL AND state = 'waiting'),"
            " (SELECT min(next_at) FROM outbox WHERE next_at IS NOT NULL AND state = 'ready')"
        )[0]
        own = [self._real_of(micros) for micros in instants[:2] if micros is not None]
        if instants[2] is not None:
            own.append(max(-(-self._real_of(instants[2]) // _RETRY_GRID) * _RETRY_GRID, self.paused_until))
        return max(min(own), self.down_until) if own else None

    def _real_of(self, micros: int) -> int:
        return -((START - from_micros(micros)) // timedelta(seconds=1)) - self.ahead

    def _end(self) -> None:
        """The last events are over: everything mends, and all has to come to rest."""
        self.house.relay.trouble = None
        self.house.faults.armed.clear()
        self._live_until(self.real + _AFTERWARDS)
        self._check("all is quiet", full=True)
        self.checks.end(self._sight())

    # ------------------------------------------------------------------ rounds

    def _settle(self) -> bool:
        """Rounds until nothing is due; whether there was anything to do."""
        for done in range(_MOST_ROUNDS):
            if self.real < self.down_until or not self._due():
                return done > 0
            self._round()
            if self._due():
                self.real += 1
        raise Broken("the desk comes to rest", f"{_MOST_ROUNDS} rounds and something is still due")

    def _due(self) -> bool:
        now = to_micros(self.now)
        paused = self.real < self.paused_until
        return bool(self.watch.value(
            "SELECT EXISTS (SELECT 1 FROM receipts WHERE state = 'waiting')"
            " OR EXISTS (SELECT 1 FROM targets WHERE next_at IS NOT NULL AND next_at <= ?)"
            " OR EXISTS (SELECT 1 FROM outbox WHERE next_at IS NOT NULL AND state = 'waiting' AND next_at <= ?)"
            " OR EXISTS (SELECT 1 FROM outbox WHERE next_at IS NOT NULL AND state = 'ready' AND next_at <= ? AND ?)",
            now, now, now, not paused,
        ))  # fmt: skip

    def _round(self) -> None:
        """One round of the worker, and the daemon's hand-over."""
        self.played.rounds += 1
        if not self._survive(lambda: self.house.worker.round(self.now)):
            return
        while self.real >= self.paused_until and self._ready():
            done: list[Any] = []
            if not self._survive(lambda: done.append(self.house.hand_over(self.now)), whole=True) or not done:
                return
            if done[0].trouble is not None:
                self.troubles += 1
                self.paused_until = self.real + int(pause_after(self.troubles).total_seconds()) + 1
            else:
                self.troubles = 0
            if not done[0].busy:
                return

    def _ready(self) -> bool:
        return bool(self.watch.value(
            "SELECT 1 FROM outbox WHERE next_at IS NOT NULL AND state = 'ready' AND next_at <= ? LIMIT 1",
            to_micros(self.now),
        ))  # fmt: skip

    def _survive(self, act: Callable[[], object], *, whole: bool = False) -> bool:
        """Do it, and pick up the pieces of what died; whether all went well."""
        try:
            act()
        except Crash as crash:
            self._bury(crash, whole=whole)
        except StoreError as error:
            if error.permanent or not self.house.faults.struck:
                raise
        else:
            self.house.faults.struck.clear()
            return True
        self.house.faults.struck.clear()
        return False

    def _bury(self, crash: Crash, *, whole: bool) -> None:
        """A process died: what watches it starts another, which takes over what its leases left."""
        self.played.deaths += 1
        trace, place = crash.__traceback__, "?"
        while trace is not None:
            code = trace.tb_frame.f_code
            if "/daemon/" in code.co_filename:
                place = f"{code.co_filename.rpartition('/')[2]}:{code.co_name}"
            trace = trace.tb_next
        self.last.append(f"{self._when()} a death {crash.point} a write of {place}")
        while True:
            try:
                if whole:
                    self.house.start(self.now)
                else:
                    self.house.replace_worker(self.now)
            except (Crash, StoreError):
                continue
            return

    # ------------------------------------------------------------------ checks

    def _when(self) -> str:
        return f"{self.now:%a %d %b %H:%M:%S}"

    def _sight(self) -> Sight:
        return Sight(
            self.watch, self.model, self.house.relay, policy_of(self.variant), self.now, self.played.deaths
        )

    def _check(self, told: str, *, full: bool = False) -> None:
        self.played.steps += 1
        self.last.append(f"{self._when()} {told}")
        self._read_relay()
        self.checks.look(self._sight())
        if self.logged:
            first = self.logged[0]
            error = first.get("exc_info") or first.get("error")
            raise Broken("no errors in the log", f"{first.get('event')}: {error!r}") from (
                error if isinstance(error, BaseException) else None
            )
        if full or self.played.steps % _FULL_EVERY == 0:
            self._check_all()

    def _check_all(self) -> None:
        with self.house.store.reading() as connection:
            broken = verify(connection).first_broken
            hold(broken is None, "the chain is clean", str(broken))
            differences = reconcile(connection).differences
            hold(not differences, "it reconciles", str(differences[:3]))
            self.played.records = self.watch.number("SELECT count(*) FROM incidents") or 0
        self.played.receipts, self.played.mails = len(self.model.receipts), len(self.house.relay.taken)

    def _read_relay(self) -> None:
        """Remember who got which mail of which record; machines of people who are away answer."""
        taken = self.house.relay.taken
        while self._read_mails < len(taken):
            one = taken[self._read_mails]
            self._read_mails += 1
            record = self._record_told(one)
            if record is not None:
                self._by_record[one.recipient, record] = one
            left = self.away.get(one.recipient)
            if left is not None and self.real < left.until:
                self._later(self.real + 60, self._automatic_answer(one, left, record))

    def _record_told(self, taken: Taken) -> int | None:
        row = int(taken.message_id.partition("@")[0].rpartition(".")[2])
        return self.watch.number("SELECT subject FROM outbox WHERE id = ?", row)

    # ------------------------------------------------------------------ what happens

    def _meet(self, what: Event | Sending) -> None:
        if isinstance(what, Sending):
            self._send(what)
        else:
            _DEEDS[type(what)](self, what)

    def _mail(self, mail: MailSent) -> None:
        sending = self._written(mail)
        if sending is not None:
            self._send(sending)

    def _written(self, mail: MailSent) -> Sending | None:
        """The bytes of a mail: an answer is written from what its author has of the thread."""
        subject, references, to, record = mail.subject, [], mail.to, None
        fate = {Nature.POISON: Fate.POISON, Nature.OURS: Fate.LOOP}.get(mail.nature, Fate.NEW)
        if mail.answers is not None:
            fate, record = Fate.ANYTHING, self._record_of(f"mail:{mail.answers}")
            have = None if record is None else self._by_record.get((mail.sender, record))
            references = [message_id(mail.answers)]
            if have is not None and mail.way is not Way.FIRST:
                references = [have.message_id]
            if have is not None and mail.way is Way.ADDRESS:
                to = _reply_to(have) or mail.to
            if mail.way is Way.SUBJECT:
                number = self.watch.number("SELECT number FROM incidents WHERE id = ?", record or 0)
                subject, references = f"Re: [INC-{number}] {subject}", []
            if record is not None and mail.answers in self._bodies:
                fate = Fate.ANSWER
        body = write_mail(replace(mail, to=to), START + timedelta(seconds=mail.at), subject=subject, references=references)
        if mail.nature is Nature.OURS:
            if not self.house.relay.taken:
                return None
            body = self.house.relay.taken[-1].body
        self._bodies[mail.name] = (replace(mail, to=to), body)
        by_machine = mail.nature is not Nature.PERSON
        return self._mail_receipt(body, to, Accepted(fate, 1, mail, record, by_machine), mail.sender)

    def _mail_receipt(self, body: bytes, to: str, accepted: Accepted, sender: str) -> Sending:
        normal = to.partition("+")[0] + "@" + to.rpartition("@")[2] if "+" in to else to
        event = accepted.event
        null = isinstance(event, MailSent) and event.nature is Nature.NULL
        envelope = {
            "from": "" if null or accepted.fate is Fate.REPORT else sender, "to": [to], "mailbox": ADDRESSES[normal],
            "peer": "192.0.2.1",
        }  # fmt: skip
        receipt = Receipt("smtp", "mail", self.now, envelope, body, mail_receipt_key(body, [normal]))
        return Sending(receipt, accepted, _MAIL_AGAIN)

    def _repeated(self, repeated: MailRepeated) -> None:
        found = self._bodies.get(repeated.name)
        if found is None or found[0].nature in (Nature.POISON, Nature.OURS):
            return
        mail, body = found
        self._send(self._mail_receipt(body, repeated.to, Accepted(Fate.COPY, 1, mail), mail.sender))

    def _bounced(self, bounced: Bounced) -> None:
        about = self.house.relay.last_to.get(bounced.recipient)
        if about is None:
            return
        body = write_report(about.message_id, bounced.recipient, name=f"report-{bounced.at}", hard=bounced.hard)
        accepted = Accepted(Fate.REPORT, 1, None, by_machine=True)
        self._send(self._mail_receipt(body, "support@example.com", accepted, ""))

    def _automatic_answer(self, taken: Taken, left: Left, record: int | None) -> Sending:
        nature = Nature.MACHINE if left.marked else Nature.PERSON
        mail = MailSent(
            self.real, f"away-{self._read_mails}", left.address, _reply_to(taken) or "support@example.com",
            "Re: I am away", "I am away.\n", nature,
        )  # fmt: skip
        body = write_mail(mail, self.now, subject=mail.subject, references=[taken.message_id])
        fate = Fate.ANYTHING if record is None else Fate.ANSWER
        return self._mail_receipt(body, mail.to, Accepted(fate, 1, replace(mail, sender=""), record, True), left.address)

    def _posted(self, posted: Posted) -> None:
        if posted.source == "pager":
            body, form = write_event(posted.said[0]), "pagerduty"
        else:
            body, form = write_group(posted.said, START, START + timedelta(seconds=posted.at)), "alertmanager"
        envelope = {"type": "application/json", "peer": "192.0.2.2", "agent": "monitor"}
        receipt = Receipt(posted.source, form, self.now, envelope, body, None)
        self._send(Sending(receipt, Accepted(Fate.ALERTS, len(posted.said), posted), _POST_AGAIN))

    def _send(self, sending: Sending) -> None:
        """Bring it to the door; who gets no yes brings the same bytes again."""
        if self.real < self.down_until:
            self._later(max(self.real + sending.again, self.down_until), sending)
            return
        sending = replace(sending, receipt=replace(sending.receipt, received_at=self.now))
        kept: list[Any] = []
        answered = self._survive_door(lambda: kept.append(self.house.keep(sending.receipt)))
        if answered is None:
            self._account(sending, kept[0].id, repeated=kept[0].repeated)
            return
        if answered in (_Point.AFTER, _Point.UNKNOWN):
            newest = self.watch.number("SELECT max(id) FROM receipts") or 0
            self._account(sending, newest, repeated=newest in self.model.receipts)
        self._later(self.real + sending.again, sending)

    def _survive_door(self, act: Callable[[], object]) -> _Point | None:
        """What struck the door; None where nothing did."""
        try:
            act()
        except Crash as crash:
            self._bury(crash, whole=True)
            return crash.point
        except StoreError as error:
            if error.permanent or not self.house.faults.struck:
                raise
            return self.house.faults.struck[-1]
        finally:
            self.house.faults.struck.clear()
        return None

    def _account(self, sending: Sending, receipt: int, *, repeated: bool) -> None:
        if repeated:
            hold(receipt in self.model.receipts, "accepted is kept once", f"receipt {receipt} was kept unheard")
            hold(sending.receipt.key is not None, "accepted is kept once", f"receipt {receipt} has no key to tell by")
            return
        self.model.accept(receipt, self._as_it_is(sending.accepted))

    def _as_it_is(self, accepted: Accepted) -> Accepted:
        """A copy of a mail that never came is the mail itself."""
        event = accepted.event
        if not isinstance(event, MailSent) or accepted.fate in (Fate.POISON, Fate.LOOP):
            return accepted
        first = event.name in self.model.mails
        if accepted.fate is Fate.COPY and not first:
            return replace(accepted, fate=Fate.ANYTHING)
        return replace(accepted, fate=Fate.COPY) if first else accepted

    # ------------------------------------------------------------------ people

    def _acted(self, acted: Acted) -> None:
        record = self._record_of(acted.thing)
        ref = self._ref(record)
        desk = self.house.desk
        person = desk.agents[acted.who]
        author = agent_author(desk, person)
        if ref is None or author is None:
            return
        other = self._ref(self._record_of(acted.other)) if acted.verb == "merge" else None
        try:
            if acted.verb == "link":
                self._click(acted.who, record or 0)
            else:
                _act(self.house.acts, acted, ref, other, by=author, now=self.now)
        except DeskError as refusal:
            self.last.append(f"  refused: {refusal}")
        except Crash as crash:
            self._bury(crash, whole=True)
        except StoreError as error:
            if error.permanent or not self.house.faults.struck:
                raise
        self.house.faults.struck.clear()

    def _click(self, who: str, record: int) -> None:
        """The link in the last page of this record."""
        address = str(self.house.desk.agents[who].address)
        page = self._by_record.get((address, record))
        token = b"" if page is None else page.body.partition(b"/a/")[2][:40]
        if self.real < self.down_until or len(token) < 40:  # noqa: PLR2004 - a token's length
            return
        asked = self.house.pages.asked(token.decode(), self.now)
        if asked is not None:
            self.house.pages.acknowledge(token.decode(), asked.form, self.now)

    def _ref(self, record: int | None) -> str | None:
        number = self.watch.number("SELECT number FROM incidents WHERE id = ?", record or 0)
        return None if number is None else f"INC-{number}"

    def _record_of(self, thing: str) -> int | None:
        """The record of a mail or of a monitor's key, as it stands now."""
        kind, _, name = thing.partition(":")
        if kind == "alert":
            return self.watch.number("SELECT incident FROM fold_keys WHERE key = ?", thing)
        receipt = self.model.mails.get(name, 0)
        return self.watch.number("SELECT incident FROM signals WHERE receipt = ?", receipt)

    # ------------------------------------------------------------------ circumstances

    def _left(self, left: Left) -> None:
        self.away[left.address] = left

    def _policy(self, changed: PolicyChanged) -> None:
        self.variant = changed.variant
        while True:
            try:
                self.house.read_policy(changed.variant)
            except (Crash, StoreError):
                self.house.faults.struck.clear()
                continue
            return

    def _relay(self, failed: RelayFailed) -> None:
        if failed.until <= failed.at:
            self.house.relay.trouble = None
            return
        self.house.relay.trouble = failed.trouble
        self._later(failed.until, replace(failed, at=failed.until))

    def _jumped(self, jumped: ClockJumped) -> None:
        self.ahead += jumped.seconds

    def _stopped(self, stopped: Stopped) -> None:
        if stopped.until <= self.real:
            self._survive(lambda: self.house.start(self.now), whole=True)
            return
        self.down_until = stopped.until
        self._later(stopped.until, stopped)

    def _struck(self, struck: Struck) -> None:
        self.house.faults.arm(struck.write, struck.point)


def _act(acts: Any, acted: Acted, ref: str, other: str | None, *, by: Author, now: datetime) -> None:
    """One verb of a person."""
    verb = acted.verb
    if verb == "ack":
        acts.acknowledge(ref, by=by, now=now, channel="command", assignable=True)
    elif verb == "assign":
        acts.assign(ref, by=by, now=now, to=acted.other or None, team=None)
    elif verb == "note":
        acts.note(ref, by=by, now=now, text="I looked at it")
    elif verb == "reply":
        acts.reply(ref, by=by, now=now, text="We are on it")
    elif verb == "set":
        acts.set(ref, by=by, now=now, field="priority", value=acted.other, justification="as I know the place")
    elif verb == "wait":
        acts.wait(ref, by=by, now=now, on=acted.other, reason="a question", reference="V-1", promise="tomorrow")
    elif verb == "resume":
        acts.resume(ref, by=by, now=now, reason="it came")
    elif verb == "restore":
        acts.restore(ref, by=by, now=now, text="it works")
    elif verb == "resolve":
        waived = "the owner is not to be reached" if acted.other else None
        acts.resolve(ref, by=by, now=now, resolution=Resolution(_NOTES, "solved", waived))
    elif verb == "reopen":
        acts.reopen(ref, by=by, now=now, reason="not yet")
    elif verb == "close":
        acts.close(ref, by=by, now=now, reason="no work")
    elif verb == "merge" and other is not None:
        acts.merge(ref, into=other, by=by, now=now, reason="the same thing")


def _reply_to(taken: Taken) -> str | None:
    said = BytesHeaderParser().parsebytes(taken.body.partition(b"\r\n\r\n")[0])["Reply-To"]
    return None if said is None else parseaddr(str(said))[1]


def _told(what: Event | Sending) -> str:
    if isinstance(what, Sending):
        return f"a sender comes again to {what.receipt.source}"
    return repr(what)


_DEEDS: dict[type, Callable[[Player, Any], None]] = {
    MailSent: Player._mail, MailRepeated: Player._repeated, Bounced: Player._bounced, Posted: Player._posted,
    Acted: Player._acted, Left: Player._left, PolicyChanged: Player._policy, RelayFailed: Player._relay,
    ClockJumped: Player._jumped, Stopped: Player._stopped, Struck: Player._struck,
}
