"""Composing: what each kind of mail says, that it says the same in both forms, and that nothing in it is obeyed."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.header import decode_header, make_header
from email.message import EmailMessage
from email.policy import SMTP
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from incidents.effects import NoticeKind, Outgoing
from incidents.incident import Incident
from incidents.person import Person
from incidents.signal import Mailbox
from incidents.story import REPLY_MARKER, Page, Story
from kit.text import header_text
from kit.tokens import Keyring, Purpose
from notifiers.compose import INSTANCE_HEADER, compose
from notifiers.errors import TooLong, Unaddressable
from notifiers.render import OUTPUT_CAP, render
from notifiers.voice import Voice
from notifiers.wording import TEXT_LIMIT

NOW = datetime(2026, 11, 24, 9, 7, tzinfo=UTC)
GOLDEN = Path(__file__).parents[1] / "samples" / "outgoing"
KEYRING = Keyring({1: b"k" * 32}, 1)
VOICE = Voice(
    "Example IT", "d7k2", Mailbox("desk@example.com", "Example IT"), ZoneInfo("Europe/Berlin"),
    {"support": "support@example.com"}, "https://desk.example.com",
)  # fmt: skip
PRINTERS = Incident(
    1, 1042, "incident", "Label printers at dispatch print blank pages", "new", "service_desk",
    NOW - timedelta(minutes=18), NOW, "support", "P3", "sev3", "medium", "medium", 1,
    service="label_printing", requester=7, mailbox="support",
)  # fmt: skip
PAYMENTS = Incident(
    2, 1043, "incident", "Card payments fail at checkout", "new", "payments", NOW - timedelta(minutes=18), NOW,
    "prometheus", "P1", "sev1", "high", "high", 1, service="checkout", resource="payments-api.prod",
    url="https://prometheus.example.com/graph?g0.expr=up", needs_person=True,
)  # fmt: skip
ANA, BEN = Person(7, "Ana Example"), Person(8, "Ben Example", handle="ben")
TITLES = ("Card payments fail at checkout", "Disk 91 % full on db-3", "Backup of the file server did not finish")
PAGES = tuple(Page(40 + n, f"INC-{1040 + n}", f"P{n + 1}", title) for n, title in enumerate(TITLES))
ANSWER = (
    "Hello Ana,\n\nthe ribbon was put in the wrong way round. Check two things:\n"
    "- the shiny side faces the head\n- the lever on the left is closed\n\nDoes the next label come out black?"
)


def outgoing(kind: str, facts: dict[str, Any] | None = None, *, story: Story) -> Outgoing:
    thread = {"references": ["record-1@d7k2.example.com", "x1@mail.example.com"], "in_reply_to": "x1@mail.example.com"}
    subject = story.incident.id if story.incident else None
    return Outgoing(
        31, subject, kind, story.person.id, "ana@example.com", 3, "abcdef.31@d7k2.example.com",
        {**thread, **(facts or {})}, "waiting", NOW, NOW, NOW + timedelta(days=5),
    )  # fmt: skip


def in_minutes(minutes: int) -> str:
    return (NOW + timedelta(minutes=minutes)).isoformat()


FULL: dict[str, tuple[str, dict[str, Any], Story]] = {
    "acknowledgement": (
        "acknowledgement",
        {"understood": PRINTERS.title, "promises": [["respond", in_minutes(53)], ["resolve", in_minutes(60 * 26)]],
         "reopened": False},
        Story(ANA, PRINTERS),
    ),
    "acknowledgement-reopened": (
        "acknowledgement", {"understood": PRINTERS.title, "promises": [], "reopened": True}, Story(ANA, PRINTERS)
    ),
    "reply": ("reply", {"entry": 4}, Story(ANA, PRINTERS, text=ANSWER, author="Ben Example")),
    "status-resolved": ("status", {"event": "resolved", "text": "We turned it.", "into": None}, Story(ANA, PRINTERS)),
    "status-merged": ("status", {"event": "merged", "text": None, "into": "INC-1007"}, Story(ANA, PRINTERS)),
    "escalation": (
        "escalation",
        {"step": 2, "path": "standard", "why": "on_call of team", "because": "it is your turn",
         "next": "on_call of manager", "next_at": in_minutes(10), "signals": 9},
        Story(BEN, PAYMENTS),
    ),
    "deadline": (
        "deadline", {"target": "sla.respond", "due_at": in_minutes(12), "breached": False}, Story(BEN, PAYMENTS)
    ),
    "deadline-breached": (
        "deadline", {"target": "sla.restore", "due_at": in_minutes(-71), "breached": True}, Story(BEN, PAYMENTS)
    ),
    "notice": ("notice", {}, Story(BEN, pages=PAGES, members=14)),
}  # fmt: skip


def composed(name: str) -> EmailMessage:
    kind, facts, story = FULL[name]
    return parsed(compose(outgoing(kind, facts, story=story), story, VOICE, now=NOW, keyring=KEYRING))


def parsed(body: bytes) -> EmailMessage:
    message = message_from_bytes(body, policy=SMTP)
    assert isinstance(message, EmailMessage)
    assert not message.defects
    return message


def form(message: EmailMessage, subtype: str) -> str:
    part = message.get_body((subtype,))
    assert part is not None
    return str(part.get_content()).replace("\r\n", "\n")


class _Words(HTMLParser):
    """The words that a reader of the HTML sees."""

    def __init__(self) -> None:
        super().__init__()
        self.words: list[str] = []

    def handle_data(self, data: str) -> None:
        self.words += data.split()


def seen(html: str) -> str:
    reader = _Words()
    reader.feed(html.partition("<body")[2])
    return " ".join(reader.words)


@pytest.mark.parametrize("name", FULL)
def test_each_kind_reads_as_agreed(name: str) -> None:
    """Headers and plain text, word for word. Replace the file when the words are changed on purpose."""
    message = composed(name)
    head = "\n".join(f"{key}: {value}" for key, value in message.items())
    assert f"{head}\n\n{form(message, 'plain')}" == (GOLDEN / f"{name}.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", FULL)
def test_both_forms_state_the_same_facts(name: str) -> None:
    message = composed(name)
    html = seen(form(message, "html"))
    for line in re.findall(r"^[A-Z][\w ]+: +(\S.*)$", form(message, "plain"), re.MULTILINE):
        assert line.startswith("https://") or line in html


@pytest.mark.parametrize("name", FULL)
def test_html_is_one_small_page_without_anything_remote(name: str) -> None:
    html = form(composed(name), "html")
    assert len(html) < 12 * 1024
    assert "max-width:560px" in html
    assert "prefers-color-scheme: dark" in html
    assert not re.search(r"<(img|script|link|iframe|form)|@import|url\(", html)


@pytest.mark.parametrize("kind", NoticeKind)
@pytest.mark.parametrize("incident", [None, PRINTERS])
def test_a_mail_with_no_facts_at_all_is_still_a_mail(kind: NoticeKind, incident: Incident | None) -> None:
    """The desk may learn new facts before or after its templates do."""
    story = Story(Person(3, ""), incident)
    row = replace(outgoing(kind, story=story), facts={})
    message = parsed(compose(row, story, replace(VOICE, public_url=None), now=NOW, keyring=KEYRING))
    assert form(message, "plain").strip()
    assert "None" not in form(message, "plain")
    assert "/a/" not in form(message, "html")


def test_composing_twice_gives_equal_bytes() -> None:
    """Fault 77. The boundary comes from the Message-ID, the date from the caller."""
    kind, facts, story = FULL["escalation"]
    row = outgoing(kind, facts, story=story)
    first, second = (compose(row, story, VOICE, now=NOW, keyring=KEYRING) for _ in range(2))
    assert first == second


@pytest.mark.parametrize("name", FULL)
def test_bytes_are_such_as_any_relay_takes(name: str) -> None:
    kind, facts, story = FULL[name]
    story = replace(story, person=Person(7, "Zoë Größe 日本"), text="ü" * 3000)
    body = compose(outgoing(kind, facts, story=story), story, VOICE, now=NOW, keyring=KEYRING)
    assert body.isascii()
    assert max(map(len, body.split(b"\r\n"))) <= 998
    assert b"\n" not in body.replace(b"\r\n", b"")
    assert b"\r" not in body.replace(b"\r\n", b"")


def test_automatic_mail_says_so_and_a_persons_does_not() -> None:
    """A38: acknowledgements are replies, the rest of the desk's own mail is generated, an agent's reply is neither."""
    told = {name: composed(name) for name in FULL}
    assert told["acknowledgement"]["Auto-Submitted"] == "auto-replied"
    assert told["status-resolved"]["Auto-Submitted"] == told["escalation"]["Auto-Submitted"] == "auto-generated"
    assert not {"Auto-Submitted", "X-Loop", "X-Auto-Response-Suppress"} & {*told["reply"].keys()}
    assert {message[INSTANCE_HEADER] for message in told.values()} == {"d7k2"}


def test_an_answer_finds_the_record() -> None:
    reply_to = str(composed("reply")["Reply-To"])
    found = re.fullmatch(r"<?support\+([a-z2-7]{40})@example\.com>?", reply_to)
    assert found
    token = KEYRING.verify(found[1], Purpose.REPLY, NOW + timedelta(days=4000))
    assert token is not None
    assert (token.record, token.person) == (1, 7)
    assert composed("notice")["Reply-To"] is None


def test_a_desk_address_without_room_for_a_token_is_answered_as_it_is() -> None:
    kind, facts, story = FULL["reply"]
    voice = replace(VOICE, addresses={"support": f"{'a' * 24}@example.com"})
    message = parsed(compose(outgoing(kind, facts, story=story), story, voice, now=NOW, keyring=KEYRING))
    assert message["Reply-To"] is None


def test_the_link_of_an_escalation_is_for_one_person_and_ends() -> None:
    found = re.search(r"https://desk\.example\.com/a/([a-z2-7]{40})\n", form(composed("escalation"), "plain"))
    assert found
    token = KEYRING.verify(found[1], Purpose.ACKNOWLEDGE, NOW + timedelta(days=13))
    assert token is not None
    assert (token.record, token.person) == (2, 8)
    assert KEYRING.verify(found[1], Purpose.ACKNOWLEDGE, NOW + timedelta(days=15)) is None
    assert KEYRING.verify(found[1], Purpose.REPLY, NOW) is None


def test_a_desk_that_is_not_on_the_web_says_how_to_acknowledge() -> None:
    kind, facts, story = FULL["escalation"]
    voice = replace(VOICE, public_url=None)
    message = parsed(compose(outgoing(kind, facts, story=story), story, voice, now=NOW, keyring=KEYRING))
    assert "To acknowledge: triagectl incident ack INC-1043\n" in form(message, "plain")
    assert "To acknowledge: triagectl incident ack INC-1043" in seen(form(message, "html"))


def test_a_deadline_that_somebody_works_on_has_no_button() -> None:
    _, facts, _ = FULL["deadline"]
    story = Story(BEN, replace(PAYMENTS, acknowledged_at=NOW))
    message = parsed(compose(outgoing("deadline", facts, story=story), story, VOICE, now=NOW, keyring=KEYRING))
    assert "/a/" not in form(message, "plain")


def test_replies_are_invited_with_the_line_that_incoming_mail_is_cut_at() -> None:
    for name in ("acknowledgement", "reply", "status-resolved"):
        assert form(composed(name), "plain").startswith(f"{REPLY_MARKER}\n")
        assert seen(form(composed(name), "html")).count(REPLY_MARKER) == 1


@pytest.mark.parametrize(
    ("phrase", "words"),
    [
        ("on_call of team", "on call for payments"),
        ("team", "team payments"),
        ("on_call of next tier", "on call for the next tier"),
        ("next tier", "the next tier"),
        ("on_call of duty_manager", "on call for duty manager"),
        ("ben", "ben"),
    ],
)
def test_phrases_of_the_policy_become_words(phrase: str, words: str) -> None:
    story = Story(BEN, PAYMENTS)
    row = outgoing("escalation", {"why": phrase, "next": phrase, "next_at": in_minutes(10)}, story=story)
    text = form(parsed(compose(row, story, VOICE, now=NOW, keyring=KEYRING)), "plain")
    assert f"P1  Acknowledge by 10:17. Next: {words}.\n" in text
    assert f"Why you:        {words}\n" in text


def test_mail_that_waited_long_says_so() -> None:
    """Fault 81."""
    kind, facts, story = FULL["escalation"]
    row = outgoing(kind, facts, story=story)
    late = parsed(compose(row, story, VOICE, now=NOW + timedelta(hours=6), keyring=KEYRING))
    assert "Delayed: the desk wrote this at 10:07 today." in form(late, "plain")
    assert form(late, "plain").startswith("P1  Acknowledge now. Next: on call for manager.\n")
    assert "Delayed" not in form(composed("escalation"), "plain")


def test_broken_message_ids_are_left_out_and_long_threads_cut() -> None:
    """A32. The root always stays."""
    kind, facts, story = FULL["reply"]
    foreign = ["a b@x", "evil@x>\r\nBcc: <y", *(f"m{n}@x" for n in range(50))]
    row = outgoing(kind, {**facts, "references": ["root@x", *foreign], "in_reply_to": "bad id"}, story=story)
    message = parsed(compose(row, story, VOICE, now=NOW, keyring=KEYRING))
    references = str(message["References"]).split()
    assert references[0] == "<root@x>"
    assert references[-1] == "<m49@x>"
    assert len(references) == 21
    assert message["In-Reply-To"] is None


def test_addresses_no_relay_would_take_are_refused_before_one_is_asked() -> None:
    kind, facts, story = FULL["reply"]
    for bad in ("zoë@example.com", "a b@example.com", "a@b>, <c@d", "nobody", "a\r\nb@example.com"):
        with pytest.raises(Unaddressable):
            compose(
                replace(outgoing(kind, facts, story=story), recipient=bad), story, VOICE, now=NOW, keyring=KEYRING
            )
    row = replace(outgoing(kind, facts, story=story), recipient="ana@bücher.example")
    assert b"<ana@xn--bcher-kva.example>" in compose(row, story, VOICE, now=NOW, keyring=KEYRING)


@pytest.mark.parametrize("hostile", ["{{ 7*7 }}", "{0.__class__}", "%(x)s", "${jndi:ldap://x}", "{% raw %}", "<i>&"])
def test_template_syntax_in_text_stays_text(hostile: str) -> None:
    """Fault 40."""
    record = replace(PRINTERS, title=hostile, team=hostile)
    pages = [Page(1, "INC-1", "P1", hostile)]
    story = Story(Person(7, hostile), record, text=hostile, author=hostile, pages=pages)
    for kind in NoticeKind:
        facts = {"understood": hostile, "text": hostile, "why": hostile, "next": hostile, "event": hostile}
        message = parsed(compose(outgoing(kind, facts, story=story), story, VOICE, now=NOW, keyring=KEYRING))
        assert "49" not in form(message, "plain").replace("09:49", "")
        assert "<i>&" not in form(message, "html")
        assert hostile in seen(form(message, "html"))


def test_no_text_grows_beyond_the_cap() -> None:
    """Fault 40. The longest text a reply takes fits, and says that it was cut; what does not fit is refused."""
    kind, facts, story = FULL["reply"]
    story = replace(story, text='"' * (TEXT_LIMIT * 3))
    message = parsed(compose(outgoing(kind, facts, story=story), story, VOICE, now=NOW, keyring=KEYRING))
    assert len(form(message, "html")) < OUTPUT_CAP
    assert "INC-1042 holds all of it" in form(message, "plain")
    with pytest.raises(TooLong):
        render("reply", "txt", {
            "marker": None, "desk": "", "ref": "", "title": "", "delayed": None, "rows": [], "author": "", "cut": False,
            "paragraphs": ["x" * OUTPUT_CAP],
        })  # fmt: skip


def test_a_source_link_is_followed_only_when_it_is_one() -> None:
    for bad in ("javascript:alert(1)", 'https://x/"onclick=', "data:text/html,x", "https://x y"):
        story = Story(BEN, replace(PAYMENTS, url=bad))
        message = parsed(compose(outgoing("escalation", story=story), story, VOICE, now=NOW, keyring=KEYRING))
        assert "Open it at its source" not in form(message, "plain") + form(message, "html")


HOSTILE = st.one_of(
    st.text(max_size=300),
    st.lists(
        st.sampled_from(
            ["\r\n", "\n", "\r", "\x00", "\x85", "\u2028", "\u202e", "Bcc: x@example.com", "=?utf-8?q?hi=0D=0ABcc:_x?=",
             '"', "\\", "<a@b>", ",", ";", "(", "=?", "?=", " ", "\t", "ü", "日本語", "😀", "\udc80", "a" * 90]
        ),
        max_size=12,
    ).map("".join),
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(title=HOSTILE, name=HOSTILE, desk=HOSTILE, kind=st.sampled_from([*NoticeKind][:-1]))
def test_sent_headers_are_exactly_the_intended_ones(title: str, name: str, desk: str, kind: NoticeKind) -> None:
    """Fault 26, A53: whatever stands in titles and names, no header comes, goes or changes its meaning."""
    story = Story(Person(7, name), replace(PRINTERS, title=title))
    voice = replace(VOICE, sender=Mailbox("desk@example.com", desk), name="Desk")
    row = outgoing(kind, story=story)
    message = parsed(compose(row, story, voice, now=NOW, keyring=KEYRING))
    automatic = [] if kind == NoticeKind.REPLY else ["Auto-Submitted", "X-Auto-Response-Suppress", "X-Loop"]
    assert message.keys() == [
        "From", "To", "Reply-To", "Subject", "Date", "Message-ID", "In-Reply-To", "References", INSTANCE_HEADER,
        *automatic, "MIME-Version", "Content-Type",
    ]  # fmt: skip
    assert message["Subject"] == header_text(f"[INC-1042] {header_text(title)}")
    (sender,), (recipient,) = message["From"].addresses, message["To"].addresses
    assert sender.addr_spec == "support@example.com"
    assert recipient.addr_spec == "ana@example.com"
    assert as_shown(message, "To") == header_text(name, 100)
    assert as_shown(message, "From") == (header_text(desk, 100) or "Desk")


def as_shown(message: EmailMessage, header: str) -> str:
    """The display name as clients decode it; the library's own address parser keeps the space between two words."""
    raw = dict(message.raw_items())[header].replace("\r\n", "").rpartition(" <")[0]
    name = str(make_header(decode_header(raw)))
    return name[1:-1].replace('\\"', '"').replace("\\\\", "\\") if raw.startswith('"') else name
