"""What is to be told becomes an outbox row in the same commit, within the budgets of guarantee G8.

Automatic mail beyond its budget is suppressed, and the row says so. Pages beyond theirs are never dropped: they
collapse into one notice, which tells them all.
"""

from __future__ import annotations

from datetime import timedelta

from desk.working import Working, rank
from incidents.effects import AUTOMATIC, PAGES, NoticeKind, Notify, OutboxState, Outgoing
from incidents.incident import Incident
from kit.tokens import Purpose, Token

#: Whose budget bounds all automatic mail of the desk together.
EVERYBODY = "*"
_MAIL_EXPIRES = timedelta(days=5)
_PAGE_EXPIRES = timedelta(days=1)


def tell(working: Working, incident: Incident, notify: Notify) -> None:
    """Put a notification in the outbox, or record why it is not sent by itself."""
    if notify.kind in PAGES:
        left = working.desk.policy.limits.pages_per_hour
        left -= working.spent(notify.address, "page")[0]
        if left <= 0:
            _collapse(working, incident, notify)
            return
        working.spend(notify.address, "page", left=left)
    elif notify.kind in AUTOMATIC:
        own, in_all = _left(working, notify.address)
        reason = _why_suppressed(working, notify, own=own, in_all=in_all)
        if reason is not None:
            _put(working, incident, notify, state=OutboxState.SUPPRESSED, reason=reason)
            return
        working.spend(notify.address, "automatic", left=own)
        working.spend(EVERYBODY, "automatic", left=in_all)
    _put(working, incident, notify, state=OutboxState.WAITING)


def root_of(working: Working, record: int) -> str:
    """The Message-ID that every mail of a record refers to, so that mail clients keep them together; see A32."""
    return f"record-{record}@{working.desk.instance}.{working.desk.domain}"


def _left(working: Working, address: str) -> tuple[int, int]:
    """How many automatic mails may go to an address by now, and how many in all."""
    limits = working.desk.policy.limits
    hour, day = working.spent(address, "automatic")
    in_all, _ = working.spent(EVERYBODY, "automatic")
    own = min(limits.automatic_mails_per_hour - hour, limits.automatic_mails_per_day - day)
    return own, limits.automatic_mails_in_all_per_hour - in_all


def _why_suppressed(working: Working, notify: Notify, *, own: int, in_all: int) -> str | None:
    person = working.by_address.get(notify.address) or working.people.get(notify.person)
    if person is not None and person.suppressed:
        return "address_suppressed"
    if own <= 0:
        return "budget"
    return "desk_budget" if in_all <= 0 else None


def _put(
    working: Working, incident: Incident, notify: Notify, *, state: OutboxState, reason: str | None = None
) -> None:
    row, sent = working.ids.row(), state is OutboxState.WAITING
    references = [root_of(working, incident.id)]
    if incident.last_message_id:
        references.append(incident.last_message_id)
    facts = {**notify.facts, "references": references, "in_reply_to": references[-1]}
    working.outgoing[row] = Outgoing(
        row, incident.id, notify.kind, notify.person, notify.address, rank(incident.priority),
        _message_id(working, row, incident.id, notify.person) if sent else "", facts, state, working.now,
        working.now if sent else None, working.now + (_PAGE_EXPIRES if notify.kind in PAGES else _MAIL_EXPIRES),
        reason=reason,
    )  # fmt: skip


def _collapse(working: Working, incident: Incident, notify: Notify) -> None:
    notice = working.open_notices.get(notify.address)
    if notice is None:
        notice = working.open_notices[notify.address] = working.ids.row()
        working.outgoing[notice] = Outgoing(
            notice, None, NoticeKind.NOTICE, notify.person, notify.address, 1,
            _message_id(working, notice, 0, notify.person), {}, OutboxState.WAITING, working.now,
            working.now + working.desk.policy.limits.notice_after, working.now + _PAGE_EXPIRES,
        )  # fmt: skip
    working.notice_members[notice] += 1
    row = working.ids.row()
    working.outgoing[row] = Outgoing(
        row, incident.id, notify.kind, notify.person, notify.address, rank(incident.priority), "", notify.facts,
        OutboxState.COLLAPSED, working.now, None, working.now + _PAGE_EXPIRES, reason="page_budget", notice=notice,
    )  # fmt: skip


def _message_id(working: Working, row: int, record: int, person: int) -> str:
    token = working.desk.keyring.sign(Token(Purpose.REPLY, record, person))
    return f"{token}.{row}@{working.desk.instance}.{working.desk.domain}"
