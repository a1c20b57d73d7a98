"""Everybody who brings something to a door: people with mails, mail systems with reports, monitors with POSTs.

Who gets no yes brings the same bytes again, as real senders do.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from email.parser import BytesHeaderParser
from email.utils import parseaddr

from desk.receive import Kept, Receipt, mail_receipt_key
from simulation.checks import hold
from simulation.events import Bounced, Left, MailRepeated, MailSent, Nature, Point, Posted, Way
from simulation.house import ADDRESSES
from simulation.letters import START, message_id, write_event, write_group, write_mail, write_report
from simulation.model import Accepted, Fate
from simulation.relay import Taken
from simulation.world import Sending, World

_MAIL_AGAIN, _POST_AGAIN = 900, 60
_FATES = {Nature.POISON: Fate.POISON, Nature.OURS: Fate.LOOP}


class Senders:
    """Writes what events say, and brings it."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._bodies: dict[str, tuple[MailSent, bytes]] = {}
        self._away: dict[str, Left] = {}
        self._read = 0

    # ------------------------------------------------------------------ mails

    def mail(self, mail: MailSent) -> None:
        """A person, or a machine, writes."""
        world, fate, record = self._world, _FATES.get(mail.nature, Fate.NEW), None
        subject, references = mail.subject, list[str]()
        if mail.answers is not None:
            record = world.record_of(f"mail:{mail.answers}")
            known = record is not None and mail.answers in self._bodies
            fate = Fate.ANSWER if known else Fate.ANYTHING
            mail, subject, references = self._answering(mail, record)
        body = write_mail(mail, START + timedelta(seconds=mail.at), subject=subject, references=references)
        if mail.nature is Nature.OURS:
            if not world.house.relay.taken:
                return
            body = world.house.relay.taken[-1].body
        self._bodies[mail.name] = (mail, body)
        by_machine = mail.nature is not Nature.PERSON
        self._bring_mail(body, mail.to, Accepted(fate, 1, mail, record, by_machine), sender=mail.sender)

    def _answering(self, mail: MailSent, record: int | None) -> tuple[MailSent, str, list[str]]:
        """An answer is written from what its author has of the thread: where to, subject and references."""
        assert mail.answers is not None
        have = None if record is None else self._world.told.get((mail.sender, record))
        if mail.way is Way.SUBJECT:
            return mail, f"Re: [INC-{self._world.number_of(record)}] {mail.subject}", []
        if have is None or mail.way is Way.FIRST:
            return mail, mail.subject, [message_id(mail.answers)]
        to = _reply_to(have) if mail.way is Way.ADDRESS else None
        return replace(mail, to=to or mail.to), mail.subject, [have.message_id]

    def repeat(self, repeated: MailRepeated) -> None:
        """The same bytes again."""
        mail, body = self._bodies.get(repeated.name, (None, b""))
        if mail is not None and mail.nature not in _FATES:
            self._bring_mail(body, repeated.to, Accepted(Fate.COPY, 1, mail), sender=mail.sender)

    def bounce(self, bounced: Bounced) -> None:
        """A mail system reports on the desk's last mail to somebody."""
        about = self._world.house.relay.last_to.get(bounced.recipient)
        if about is not None:
            name = f"report-{bounced.at}-{bounced.recipient.partition('@')[0]}"
            body = write_report(about.message_id, bounced.recipient, name=name, hard=bounced.hard)
            self._bring_mail(body, "support@example.com", Accepted(Fate.REPORT, 1, None, by_machine=True), sender="")

    def leave(self, left: Left) -> None:
        """Somebody goes on holiday."""
        self._away[left.address] = left

    def read(self) -> None:
        """Remember who got which mail of which record; the machines of people who are away answer."""
        world, taken = self._world, self._world.house.relay.taken
        while self._read < len(taken):
            one = taken[self._read]
            self._read += 1
            row = int(one.message_id.partition("@")[0].rpartition(".")[2])
            record = world.watch.number("SELECT subject FROM outbox WHERE id = ?", row)
            if record is not None:
                world.told[one.recipient, record] = one
            left = self._away.get(one.recipient)
            if left is not None and world.real < left.until:
                world.later(world.real + 60, self._automatic_answer(one, left, record))

    def _automatic_answer(self, taken: Taken, left: Left, record: int | None) -> Sending:
        nature = Nature.MACHINE if left.marked else Nature.PERSON
        mail = MailSent(
            self._world.real, f"away-{self._read}", left.address, _reply_to(taken) or "support@example.com",
            "Re: I am away", "I am away.\n", nature,
        )  # fmt: skip
        body = write_mail(mail, self._world.now, subject=mail.subject, references=[taken.message_id])
        fate = Fate.ANYTHING if record is None else Fate.ANSWER
        accepted = Accepted(fate, 1, replace(mail, sender=""), record, by_machine=True)
        return self._mail_sending(body, mail.to, accepted, sender=left.address)

    def _bring_mail(self, body: bytes, to: str, accepted: Accepted, *, sender: str) -> None:
        self.bring(self._mail_sending(body, to, accepted, sender=sender))

    def _mail_sending(self, body: bytes, to: str, accepted: Accepted, *, sender: str) -> Sending:
        normal = to.partition("+")[0] + "@" + to.rpartition("@")[2] if "+" in to else to
        null = isinstance(accepted.event, MailSent) and accepted.event.nature is Nature.NULL
        envelope = {
            "from": "" if null else sender, "to": [to], "mailbox": ADDRESSES[normal], "peer": "192.0.2.1",
        }
        key = mail_receipt_key(body, [normal])
        return Sending(Receipt("smtp", "mail", self._world.now, envelope, body, key), accepted, _MAIL_AGAIN)

    # ------------------------------------------------------------------ alerts

    def post(self, posted: Posted) -> None:
        """A monitor says something."""
        if posted.source == "pager":
            body, form = write_event(posted.said[0]), "pagerduty"
        else:
            body, form = write_group(posted.said, START + timedelta(seconds=posted.at)), "alertmanager"
        envelope = {"type": "application/json", "peer": "192.0.2.2", "agent": "monitor"}
        receipt = Receipt(posted.source, form, self._world.now, envelope, body, None)
        self.bring(Sending(receipt, Accepted(Fate.ALERTS, len(posted.said), posted), _POST_AGAIN))

    # ------------------------------------------------------------------ the door

    def bring(self, sending: Sending) -> None:
        """Bring it to the door, and again where that says no yes."""
        world = self._world
        if world.down:
            world.later(max(world.real + sending.again, world.down_until), sending)
            return
        receipt = sending.receipt._replace(received_at=world.now)
        answers = list[Kept]()
        struck = world.survive(lambda: answers.append(world.house.keep(receipt)), whole=True)
        if struck is None:
            self._account(sending, answers[0].id, repeated=answers[0].repeated)
            return
        if struck in (Point.AFTER, Point.UNKNOWN):  # it is kept, and its sender was not told
            newest = world.watch.number("SELECT max(id) FROM receipts") or 0
            self._account(sending, newest, repeated=newest in world.model.receipts)
        world.later(world.real + sending.again, sending)

    def _account(self, sending: Sending, receipt: int, *, repeated: bool) -> None:
        model = self._world.model
        if repeated:
            hold(receipt in model.receipts, "accepted is kept once", f"receipt {receipt} was kept unheard")
            hold(sending.receipt.key is not None, "accepted is kept once", f"receipt {receipt} has no key to tell by")
            return
        accepted = sending.accepted
        event = accepted.event
        if isinstance(event, MailSent) and event.nature not in _FATES:
            first = event.name not in model.mails
            if first and accepted.fate is Fate.COPY:  # what it copies never came
                accepted = replace(accepted, fate=Fate.ANYTHING)
            elif not first:
                accepted = replace(accepted, fate=Fate.COPY)
            elif accepted.fate is Fate.NEW and event.name in model.answered:  # its answer was faster (A27)
                accepted = replace(accepted, fate=Fate.ANYTHING)
        model.accept(receipt, accepted)


def _reply_to(taken: Taken) -> str | None:
    said = BytesHeaderParser().parsebytes(taken.body.partition(b"\r\n\r\n")[0])["Reply-To"]
    return None if said is None else parseaddr(str(said))[1]
