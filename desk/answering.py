"""Whether the desk may answer a mail by itself: mail never causes mail without end (A33 to A36, guarantee G8)."""

from __future__ import annotations

from enum import StrEnum

from incidents.signal import Mail
from kit.addresses import parse_address
from rules.policy import DeskMailbox

#: What the format of mails calls mail that came by a list.
LIST = "list"
#: Hosts that a mail has passed; beyond this it may go in circles, so it is still taken but not answered.
MOST_HOPS_ANSWERED = 30


class Unanswered(StrEnum):
    """Why a mail gets no acknowledgement."""

    NEVER = "never"
    NO_SENDER = "no_sender"
    OWN_ADDRESS = "own_address"
    OWN_MESSAGE = "own_message"
    BOUNCE = "bounce"
    SPAM = "spam"
    HOPS = "hops"
    AUTOMATIC = "automatic"
    NOT_WANTED = "not_wanted"
    UNVERIFIED = "unverified"


def why_unanswered(
    mail: Mail, mailbox: DeskMailbox, *, own_addresses: frozenset[str], own_instance: str
) -> Unanswered | None:
    """The reason why this mail is not acknowledged; None where it is. Budgets are counted elsewhere.

    ``own_addresses`` stand in normal form. ``not_wanted`` is the sender's own wish, which says nothing about who
    wrote (A34); ``unverified`` counts where the mailbox acknowledges only senders that a trusted hop verified.
    """
    if mailbox.ack == "never":
        return Unanswered.NEVER
    if mail.sender is None or not mail.sender.address:
        return Unanswered.NO_SENDER
    sender = parse_address(mail.sender.address)
    if sender is None:
        return Unanswered.NO_SENDER
    if sender.normal in own_addresses:
        return Unanswered.OWN_ADDRESS
    if is_own(mail.message_id, own_instance):
        return Unanswered.OWN_MESSAGE
    return _by_its_nature(mail, mailbox)


def _by_its_nature(mail: Mail, mailbox: DeskMailbox) -> Unanswered | None:
    found = {
        Unanswered.BOUNCE: mail.bounce is not None,
        Unanswered.SPAM: bool(mail.spam),
        Unanswered.HOPS: mail.hops > MOST_HOPS_ANSWERED,
        Unanswered.AUTOMATIC: is_automatic(mail, mailbox),
        Unanswered.NOT_WANTED: mail.auto_reply_suppressed,
        Unanswered.UNVERIFIED: mailbox.ack == "verified" and not mail.verified,
    }
    return next((reason for reason, applies in found.items() if applies), None)


def is_automatic(mail: Mail, mailbox: DeskMailbox) -> bool:
    """Whether a machine wrote this. Mail by a list that the desk's own address is came from a person after all."""
    if mail.automatic == LIST:
        return not any(recipient in mailbox.lists for recipient in mail.recipients)
    return mail.automatic is not None


def is_own(message_id: str | None, instance: str) -> bool:
    """Whether this desk made the Message-ID: its instance id begins the part after the at sign."""
    return message_id is not None and message_id.rpartition("@")[2].partition(".")[0] == instance
