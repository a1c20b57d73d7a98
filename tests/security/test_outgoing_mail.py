"""Outgoing mail as a weapon: whatever is written to the desk, its own mail does only what it is meant to."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import SMTP
from html.parser import HTMLParser
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from aiosmtpd.smtp import SMTP as Server  # noqa: N811 - the class is called as the protocol is
from aiosmtpd.smtp import Envelope, Session
from hypothesis import given, settings
from hypothesis import strategies as st

from incidents.effects import NoticeKind, Outgoing
from incidents.incident import Incident
from incidents.person import Person
from incidents.signal import Mailbox
from incidents.story import Page, Story
from kit.tokens import Keyring
from notifiers.compose import compose
from notifiers.errors import Unaddressable
from notifiers.kinds.smtp import Address, SmtpRelay
from notifiers.spec import Handed, Parcel
from notifiers.voice import Voice

NOW = datetime(2026, 11, 24, 9, 7, tzinfo=UTC)
KEYRING = Keyring({1: b"k" * 32}, 1)
VOICE = Voice(
    "Example IT", "d7k2", Mailbox("desk@example.com", "Example IT"), ZoneInfo("Europe/Berlin"),
    public_url="https://desk.example.com",
)  # fmt: skip
ATTACKS = [
    "hi\r\nBcc: victim@example.com", "hi\nX-Loop: none\n\nbody", "=?utf-8?q?hi=0D=0ABcc:_victim=40example.com?=",
    "\u2028Bcc: victim@example.com", "\x00\x85\u202e", '"><script>alert(1)</script>', "<img src=https://evil.example/p>",
    "' onmouseover='x", "</td></table><form action=//evil.example>", "{{ config }}", "{% include '/etc/passwd' %}",
    "{{ ''.__class__.__mro__ }}", ".\r\nMAIL FROM:<evil@example.com>", "--=_x\r\nContent-Type: text/html\r\n\r\nevil",
    "javascript:alert(1)", 'https://evil.example/"><b>', "a" * 5000,
]  # fmt: skip
TAGS = {"html", "head", "meta", "title", "style", "body", "div", "table", "tr", "td", "p", "h1", "b", "br", "span", "a"}


def outgoing(kind: str, hostile: str) -> Outgoing:
    facts: dict[str, Any] = {
        "references": ["root@d7k2.example.com", hostile], "in_reply_to": hostile, "understood": hostile,
        "promises": [[hostile, hostile], ["respond", NOW.isoformat()]], "text": hostile, "into": hostile,
        "event": "merged", "why": hostile, "because": hostile, "next": hostile, "path": hostile, "step": 1,
        "target": hostile,
    }  # fmt: skip
    return Outgoing(
        31, 1, kind, 7, "ana@example.com", 3, "t.31@d7k2.example.com", facts, "waiting", NOW, NOW,
        NOW + timedelta(days=5),
    )  # fmt: skip


def story(hostile: str) -> Story:
    incident = Incident(
        1, 1042, "incident", hostile, "new", hostile, NOW, NOW, "support", "P1", "sev1", "high", "high", 1,
        service=hostile, resource=hostile, url=hostile,
    )  # fmt: skip
    page = Page(1, "INC-1042", "P1", hostile)
    return Story(Person(7, hostile), incident, hostile, hostile, [page], 3)


def composed(kind: str, hostile: str) -> bytes:
    return compose(outgoing(kind, hostile), story(hostile), VOICE, now=NOW, keyring=KEYRING)


def parsed(body: bytes) -> EmailMessage:
    message = message_from_bytes(body, policy=SMTP)
    assert isinstance(message, EmailMessage)
    return message


class Reading(HTMLParser):
    """Every tag, and every attribute that loads or runs something."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.links: list[str] = []
        self.active: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        for name, value in attrs:
            if name == "href":
                self.links.append(value or "")
            elif name.startswith("on") or name in {"src", "action", "background", "srcset", "data", "poster"}:
                self.active.append(name)


def check(kind: str, hostile: str) -> None:
    body = composed(kind, hostile)
    message = parsed(body)
    assert not message.defects
    automatic = [] if kind == NoticeKind.REPLY else ["Auto-Submitted", "X-Auto-Response-Suppress", "X-Loop"]
    plain = ["From", "To", "Reply-To", "Subject", "Date", "Message-ID"]
    expected = [*plain, "References", "X-Triaged-Instance", *automatic, "MIME-Version", "Content-Type"]
    assert [key for key in message if key != "In-Reply-To"] == expected
    parts = [part.get_content_type() for part in message.walk()]
    assert parts == ["multipart/alternative", "text/plain", "text/html"]
    html = message.get_body(("html",))
    assert html is not None
    page = Reading()
    page.feed(html.get_content())
    assert page.tags <= TAGS
    assert not page.active
    assert all(link.startswith("https://desk.example.com/a/") for link in page.links)


@pytest.mark.parametrize("kind", NoticeKind)
@pytest.mark.parametrize("hostile", ATTACKS)
def test_hostile_text_stays_text(kind: str, hostile: str) -> None:
    """Faults 26 and 40, A53: no header, part, tag, link or template of theirs."""
    check(kind, hostile)


@settings(max_examples=100, deadline=None)
@given(kind=st.sampled_from([*NoticeKind]), pieces=st.lists(st.sampled_from(ATTACKS) | st.text(), max_size=5))
def test_no_mixture_of_them_does_either(kind: str, pieces: list[str]) -> None:
    text = "".join(pieces)
    check(kind, "" if text.startswith(("http://", "https://")) else text)


@pytest.mark.parametrize(
    "recipient",
    ["a@example.com>\r\nRCPT TO:<victim@example.com", "a@example.com\nDATA", "a@b> SIZE=1", "<a@b>", "a,b@example.com",
     'a"@example.com', "a@exa mple.com", "", "@", "a@", "@b"],
)  # fmt: skip
def test_an_address_that_would_speak_smtp_is_never_spoken(recipient: str) -> None:
    row = replace(outgoing("reply", "x"), recipient=recipient)
    with pytest.raises(Unaddressable):
        compose(row, story("x"), VOICE, now=NOW, keyring=KEYRING)


class Kept:
    """A handler that keeps what a real server understood."""

    def __init__(self) -> None:
        self.envelopes: list[Envelope] = []

    async def handle_DATA(self, _server: Server, _session: Session, envelope: Envelope) -> str:  # noqa: N802 - its name
        self.envelopes.append(envelope)
        return "250 taken"


def test_a_real_server_understands_what_was_meant() -> None:
    """Fault 26: dots, bare line ends and commands in the text make no second mail."""
    kept = Kept()
    bodies = [composed("reply", hostile) for hostile in ATTACKS]

    async def run() -> list[Handed | None]:
        server = await asyncio.get_running_loop().create_server(lambda: Server(kept), "127.0.0.1", 0)
        async with server:
            address = Address("127.0.0.1", server.sockets[0].getsockname()[1], "none", verify=False)
            relay = SmtpRelay(address, sender="desk@example.com", domain="desk.example.com")
            return list(await relay.hand_over([Parcel("ana@example.com", body) for body in bodies]))

    assert all(handed is not None and handed.outcome == "delivered" for handed in asyncio.run(run()))
    assert {envelope.original_content for envelope in kept.envelopes} == set(bodies)
    assert len(kept.envelopes) == len(bodies)
    assert all(envelope.rcpt_tos == ["ana@example.com"] for envelope in kept.envelopes)
