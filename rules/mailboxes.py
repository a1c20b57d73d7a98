"""mailboxes.yml: how the desk's addresses behave, and how much it writes by itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from rules.known import Known
from rules.policy import DeskMailbox
from rules.problems import NOWHERE, Where, Word
from rules.reading import setting


@dataclass(frozen=True, slots=True, kw_only=True)
class MailboxLine:
    """A desk address; which addresses it has stands in `triaged.yml`."""

    ack: Literal["always", "verified", "never"] = setting(
        "Whether a mail that opens a record is answered: `always`, when its sender is `verified` by the mail server, "
        "or `never`. Unverified senders may be forged, and then somebody else gets the answer.",
        default="verified",
    )
    follow_up: Literal["reopen", "new"] = setting(
        "What a reply to a closed record does: `reopen` it while that is allowed, else open a `new` one.",
        default="reopen",
    )
    unknown_senders: Literal["accept", "refuse"] = setting(
        "Whether people whom nobody knows yet may write: `accept`, or `refuse` (kept and listed, not worked).",
        default="accept",
    )
    lists: tuple[str, ...] = setting(
        "Ids of mailing lists whose mail opens records; other lists' mail does not.", default=()
    )
    watchers: bool = setting(
        "Whether people in Cc are told too. Off, for a Cc asks for nothing and may be forged.", default=False
    )
    subject_must_match: bool = setting(
        "Whether a reply must also repeat the subject, where two records may share one thread.", default=False
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class AutomaticMail:
    """How many mails the desk sends by itself."""

    per_hour: int = setting("To one address in an hour; no person needs more than ten.", default=10)
    per_day: int = setting("To one address in a day.", default=40)
    in_all_per_hour: int = setting(
        "To all addresses together in an hour; beyond it something goes in circles, and the desk raises an alarm.",
        default=2000,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class MailboxesFile:
    """How the desk's addresses behave."""

    mailboxes: Mapping[Word, MailboxLine] = setting("Desk addresses by the name that `triaged.yml` gives them.")
    automatic_mail: AutomaticMail = setting("How many mails the desk sends by itself.", factory=AutomaticMail)
    where: Where = NOWHERE


def check_mailboxes(written: MailboxesFile, known: Known) -> None:
    """There is one at least, and limits leave something."""
    problems = known.problems
    if not written.mailboxes:
        problems.add(written.where, "there is no mailbox, expected at least one")
    limits = written.automatic_mail
    if min(limits.per_hour, limits.per_day, limits.in_all_per_hour) < 1:
        problems.add(written.where, "a limit of automatic_mail is below 1, expected at least 1; ack: never stops them")


def make_mailboxes(written: MailboxesFile) -> Mapping[str, DeskMailbox]:
    """The desk addresses in the file's order."""
    return {
        str(name): DeskMailbox(
            str(name), line.ack, line.follow_up, line.unknown_senders, line.lists, line.watchers,
            line.subject_must_match,
        )
        for name, line in written.mailboxes.items()
    }  # fmt: skip
