"""Whether a machine wrote a mail, and what a hop that we trust said of it (A33 to A41, A16, A18)."""

from __future__ import annotations

import re
from enum import StrEnum

from ingest.charsets import raw_text
from ingest.mime import Fields, Part, first
from ingest.senders import mailboxes

_QUOTED = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"?|\([^()]*\)?')
_RESULT = re.compile(r"\s*(dmarc|dkim|spf)\s*=\s*(\w+)(.*)", re.IGNORECASE | re.DOTALL)
_DOMAIN = re.compile(
    r"\s(?:header\.d|header\.i|smtp\.mailfrom|header\.from)\s*=\s*(?:[^\s@]{0,200}@)?([\w.\-]+)", re.IGNORECASE
)


class Automatic(StrEnum):
    """Why a mail counts as a machine's. ``list`` stands last: the desk may know the list as its own."""

    READ_RECEIPT = "read_receipt"
    COMPLAINT = "complaint"
    REPORT = "report"
    AUTO_REPLIED = "auto_replied"
    AUTO_GENERATED = "auto_generated"
    LOOP_HEADER = "loop_header"
    PRECEDENCE = "precedence"
    NULL_SENDER = "null_sender"
    MAILER_DAEMON = "mailer_daemon"
    LIST = "list"


def automatic_reason(mail: Part, *, sender: str | None, envelope_from: str | None) -> Automatic | None:
    """The first rule that takes this mail for a machine's; None for a person's."""
    fields = mail.fields
    return (
        _by_report(mail)
        or _by_auto_submitted(fields)
        or _by_marks(fields)
        or _by_precedence(fields)
        or _by_sender(fields, sender, envelope_from)
        or _by_list(fields)
    )


def _by_report(mail: Part) -> Automatic | None:
    """Delivery reports, receipts and complaints (A39, A41)."""
    if mail.type != "multipart/report":
        return None
    kind = mail.parameters.get("report-type", "").lower()
    types = {part.type for part in mail.parts}
    if "disposition-notification" in kind or "message/disposition-notification" in types:
        return Automatic.READ_RECEIPT
    if "feedback-report" in kind or "message/feedback-report" in types:
        return Automatic.COMPLAINT
    return Automatic.REPORT


def _by_auto_submitted(fields: Fields) -> Automatic | None:
    """The standard's own mark; see rfc3834 5."""
    for value in fields.get("auto-submitted", ()):
        word = raw_text(value).partition(";")[0].partition("(")[0].strip().lower()
        if word and word != "no":
            answers = word.startswith(("auto-replied", "auto-notified"))
            return Automatic.AUTO_REPLIED if answers else Automatic.AUTO_GENERATED
    return None


_REPLY_MARKS = ("x-autoreply", "x-autorespond", "x-autoresponder", "x-ms-exchange-inbox-rules-loop")
_LOOP_MARKS = ("x-loop", "x-no-loop")


def _by_marks(fields: Fields) -> Automatic | None:
    """Older marks that only machines set."""
    if any(first(fields, name).lower() not in (b"", b"no") for name in _REPLY_MARKS):
        return Automatic.AUTO_REPLIED
    if any(name in fields for name in _LOOP_MARKS):
        return Automatic.LOOP_HEADER
    return Automatic.AUTO_GENERATED if "x-fc-machinegenerated" in fields else None


def _by_precedence(fields: Fields) -> Automatic | None:
    """All Precedence fields, for there may be two; ``list`` is told apart."""
    words = {raw_text(value).strip().lower() for value in fields.get("precedence", ())}
    if words & {"auto_reply", "auto-reply"}:
        return Automatic.AUTO_REPLIED
    return Automatic.PRECEDENCE if words & {"bulk", "junk"} else None


def _by_sender(fields: Fields, sender: str | None, envelope_from: str | None) -> Automatic | None:
    """Senders that are no people: the null sender and the mail system itself."""
    if envelope_from == "" or any(value.strip() == b"<>" for value in fields.get("return-path", ())):
        return Automatic.NULL_SENDER
    if sender is None or first(fields, "from").strip() in (b"", b"<>"):
        return Automatic.NULL_SENDER
    local = sender.partition("@")[0]
    return Automatic.MAILER_DAEMON if local in ("mailer-daemon", "postmaster") else None


def _by_list(fields: Fields) -> Automatic | None:
    """Mail by a list, which the desk may know as its own."""
    by_name = any(name.startswith("list-") or name == "mailing-list" for name in fields)
    by_word = any(raw_text(value).strip().lower() == "list" for value in fields.get("precedence", ()))
    return Automatic.LIST if by_name or by_word else None


def wants_no_answer(fields: Fields) -> bool:
    """The sender's wish for no automatic answer; it does not say that a machine wrote (A34)."""
    words = {word.strip().lower() for word in raw_text(first(fields, "x-auto-response-suppress")).split(",")}
    return bool(words & {"all", "autoreply", "oof"})


def spam_mark(fields: Fields, trust: str | None) -> bool | None:
    """What the trusted hop's filter said; None where no trusted hop saw the mail, or it said nothing."""
    if _trusted_results(fields, trust) is None:
        return None
    for name in ("x-spam-flag", "x-spam-status"):
        if name in fields:
            return raw_text(first(fields, name)).strip().lower().startswith("yes")
    return None


def verified_sender(fields: Fields, trust: str | None, sender: str | None) -> bool | None:
    """Whether the trusted hop vouches for the domain of the one From address; None where it did not look.

    Only the topmost results count, and only when they are of ``trust``: that hop removes forged ones (see rfc8601 5),
    and whatever stands below another's was there before it. DMARC decides; without it a signature or a path for
    the same domain, or one above it, does.
    """
    results = _trusted_results(fields, trust)
    if results is None or sender is None:
        return None
    if [person.address for value in fields.get("from", ()) for person in mailboxes(value)] != [sender]:
        return False  # which of several was looked at can't be known
    verdicts: dict[str, bool] = {}
    for method, result, rest in results:
        if method == "dmarc" and result == "none":
            continue
        domains = _DOMAIN.findall(rest)
        vouched = any(_covers(found, sender) for found in domains) or (method == "dmarc" and not domains)
        verdicts[method] = verdicts.get(method, False) or (result == "pass" and vouched)
    if "dmarc" in verdicts:
        return verdicts["dmarc"]
    return any(verdicts.values()) if verdicts else None


def _trusted_results(fields: Fields, trust: str | None) -> list[tuple[str, str, str]] | None:
    """Method, result and the rest of each result of the trusted hop; None where another hop's stand above.

    What stands in quotes or comments is the sender's and counts for nothing, and a result begins its own piece.
    """
    said: list[tuple[str, str, str]] | None = None
    for value in fields.get("authentication-results", ()) if trust else ():
        name, *pieces = _QUOTED.sub(" ", raw_text(value)).split(";")
        if [word.lower() for word in name.split()[:1]] != [(trust or "").lower()]:
            break
        found = [match.groups() for piece in pieces if (match := _RESULT.fullmatch(piece))]
        said = [*(said or []), *((method.lower(), result.lower(), rest) for method, result, rest in found)]
    return said


def _covers(found: str, sender: str) -> bool:
    """Whether a domain that was vouched for is the sender's, or one of both stands above the other."""
    domain, found = sender.rpartition("@")[2], found.lower().strip(".")
    shorter, longer = sorted((domain, found), key=len)
    return domain == found or ("." in shorter and longer.endswith("." + shorter))
