"""Header fields of a mail: people, identifiers, instants, machines, and whose word counts."""

from __future__ import annotations

from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP

import pytest
from hypothesis import given
from hypothesis import strategies as st

from incidents.signal import Mail, Mailbox
from ingest.charsets import decode_text, decode_words
from ingest.formats.mail import parse
from ingest.senders import instant_of, mailboxes


def mail(*fields: str, envelope: dict[str, object] | None = None, trust: str | None = None) -> Mail:
    return parse("\n".join(fields).encode() + b"\n\ntext", envelope or {}, trust=trust)


@pytest.mark.parametrize(
    ("value", "people"),
    [
        ("ana@example.com", [("ana@example.com", "")]),
        ("Ana Example <Ana@Example.COM>", [("ana@example.com", "Ana Example")]),
        ('"Example, Ana" <ana@example.com>, b@example.com',
         [("ana@example.com", "Example, Ana"), ("b@example.com", "")]),
        ("Example, Ana <ana@example.com>", [("ana@example.com", "Example, Ana")]),
        ("ana@example.com (Ana Example)", [("ana@example.com", "Ana Example")]),
        ("=?utf-8?q?Example=2C_Ana_=3Cevil=40example.org=3E?= <ana@example.com>",
         [("ana@example.com", "Example, Ana <evil@example.org>")]),
        ("evil@example.org <ana@example.com>", [("ana@example.com", "evil@example.org")]),
        ("<ana@example.com", [("ana@example.com", "")]),
        ('"a b"@example.com', [('"a b"@example.com', "")]),
        ("undisclosed-recipients:;", []),
        ("Team: a@example.com, b@example.com;", [("a@example.com", ""), ("b@example.com", "")]),
        ("<>", []), ("", []), (",,;;((((", []), ('"unclosed <ana@example.com>', [("ana@example.com", "")]),
        ("mailto:ana@example.com", [("ana@example.com", "")]),
    ],
)  # fmt: skip
def test_people_are_found_in_address_fields_however_written(value: str, people: list[tuple[str, str]]) -> None:
    """A12."""
    assert mailboxes(value.encode()) == [Mailbox(*person) for person in people]


@pytest.mark.parametrize(
    ("fields", "address"),
    [
        (["From: ana@example.com", "Reply-To: b@example.com"], "ana@example.com"),
        (["From: not an address", "Reply-To: b@example.com"], "b@example.com"),
        (["From: <>", "Return-Path: <c@example.com>"], "c@example.com"),
        (["Sender: d@example.com"], "d@example.com"),
    ],
)
def test_the_sender_is_the_first_field_with_an_address(fields: list[str], address: str) -> None:
    """A12."""
    sender = mail(*fields).sender
    assert sender is not None
    assert sender.address == address


def test_a_mail_without_any_sender_is_from_the_one_of_its_envelope() -> None:
    """A12, A33: printers write no From; nobody knows that a person did, so it counts as a machine's."""
    read = mail("Subject: toner", envelope={"from": "Printer@example.com", "to": ["support@example.com"]})
    assert (read.sender, read.automatic) == (Mailbox("printer@example.com"), "null_sender")


def test_recipients_are_those_of_the_envelope_else_of_the_first_field_that_names_some() -> None:
    """A11."""
    fields = ["To: support@example.com", "Cc: c@example.com", "Delivered-To: d@example.com"]
    assert mail(*fields, envelope={"to": ["sales@example.com"]}).recipients == ("sales@example.com",)
    assert mail(*fields).recipients == ("support@example.com",)
    assert mail(*fields[1:]).recipients == ("c@example.com",)


@pytest.mark.parametrize(
    ("date", "at"),
    [
        ("Mon, 23 Nov 2026 09:00:00 +0100", datetime(2026, 11, 23, 8, tzinfo=UTC)),
        ("23 Nov 2026 09:00 GMT", datetime(2026, 11, 23, 9, tzinfo=UTC)),
        ("Mon, 23 Nov 2026 09:00:60 -0500 (EST)", datetime(2026, 11, 23, 14, 0, 59, tzinfo=UTC)),
        ("Mon, 01 Jan 0001 00:00:00 +0000", None),
        ("Mon, 01 Jan 1001 00:00:00 +0000", None),
        ("Mon, 32 Nov 2026 09:00:00 +0100", None),
        ("Mon, 23 Nov 2026 09:00:00 +9999", None),
        ("9" * 5000, None),
        ("", None),
    ],
)
def test_a_date_is_read_or_is_none(date: str, at: datetime | None) -> None:
    """A6, fault 38: the year 1 is not 2001."""
    assert instant_of(date.encode()) == at


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        (["Message-ID: <a@example.com>"], "a@example.com"),
        (["Message-ID: nonsense with spaces", "Message-ID: <b@example.com>"], "b@example.com"),
        (["Message-ID: c@example.com"], "c@example.com"),
        (["Message-ID:\n <folded@example.com>"], "folded@example.com"),
    ],
)
def test_the_first_valid_message_id_counts(fields: list[str], found: str) -> None:
    """A5, fault 39."""
    assert mail(*fields).message_id == found


def test_the_same_mail_without_a_message_id_gets_the_same_one() -> None:
    assert mail("Subject: a").message_id == mail("Subject: a").message_id != mail("Subject: b").message_id


def test_of_too_many_references_the_first_and_the_newest_stay() -> None:
    """Fault 23."""
    found = mail("References: " + " ".join(f"<{n}@example.com>" for n in range(500))).references
    assert len(found) == 50
    assert (found[0], found[-1]) == ("0@example.com", "499@example.com")


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ([], None),
        (["Auto-Submitted: no"], None),
        (["Auto-Submitted: NO (by hand); x=y"], None),
        (["Auto-Submitted: Auto-Generated; owner=cron"], "auto_generated"),
        (["Auto-Submitted: auto-replied (vacation)"], "auto_replied"),
        (["Precedence: first-class", "Precedence: bulk"], "precedence"),
        (["Precedence: junk"], "precedence"),
        (["Precedence: auto_reply"], "auto_replied"),
        (["Precedence: list"], "list"),
        (["List-Id: <a.example.com>"], "list"),
        (["Mailing-List: list a@example.com"], "list"),
        (["List-Id: <a.example.com>", "Auto-Submitted: auto-generated"], "auto_generated"),
        (["X-Loop: a"], "loop_header"),
        (["X-No-Loop: a"], "loop_header"),
        (["X-Autoreply: yes"], "auto_replied"),
        (["X-Autorespond: x"], "auto_replied"),
        (["X-FC-MachineGenerated: true"], "auto_generated"),
        (["Return-Path: <>"], "null_sender"),
        (["X-Auto-Response-Suppress: All"], None),
    ],
)
def test_a_machine_is_known_by_its_marks(fields: list[str], reason: str | None) -> None:
    """A33, A34."""
    assert mail("From: ana@example.com", *fields).automatic == reason


@pytest.mark.parametrize(
    ("sender", "envelope", "reason"),
    [
        ("MAILER-DAEMON@example.com", {"from": "x@example.com"}, "mailer_daemon"),
        ("postmaster@example.com", {}, "mailer_daemon"),
        ("ana@example.com", {"from": ""}, "null_sender"),
        ("", {"from": "x@example.com"}, "null_sender"),
    ],
)
def test_senders_that_are_no_people(sender: str, envelope: dict[str, object], reason: str) -> None:
    """A33."""
    assert mail(f"From: {sender}", envelope=envelope).automatic == reason


@pytest.mark.parametrize(
    ("word", "wish"), [("All", True), ("DR, OOF, AutoReply", True), ("DR", False), ("None", False)]
)
def test_the_wish_for_no_answer_makes_nobody_a_machine(word: str, *, wish: bool) -> None:
    """A34."""
    read = mail("From: ana@example.com", f"X-Auto-Response-Suppress: {word}")
    assert (read.auto_reply_suppressed, read.automatic) == (wish, None)


OURS = "Authentication-Results: mx.example.com; "


@pytest.mark.parametrize(
    ("fields", "verified"),
    [
        ([], None),
        ([OURS + "dmarc=pass header.from=example.com"], True),
        ([OURS + "dmarc=fail header.from=example.com; spf=pass smtp.mailfrom=example.com"], False),
        ([OURS + "spf=pass smtp.mailfrom=bounce@example.com"], True),
        ([OURS + 'spf=pass (said "; dmarc=pass header.from=example.com") smtp.mailfrom=b@example.org'], False),
        ([OURS + "spf=pass smtp.mailfrom=bounce@example.org"], False),
        ([OURS + "dkim=pass header.d=example.com; spf=fail"], True),
        ([OURS + "spf=fail", OURS + "dkim=pass header.d=example.com"], True),
        (["Authentication-Results: evil.example.org; dmarc=pass", OURS + "dmarc=pass"], None),
        ([OURS + "dmarc=fail", "Authentication-Results: other.example.org; x=y", OURS + "dmarc=pass"], False),
        (["Authentication-Results: mx.example.com.evil.example.org; dmarc=pass"], None),
    ],
)
def test_only_the_trusted_hop_on_top_vouches_for_a_sender(fields: list[str], *, verified: bool | None) -> None:
    """A18, fault 32."""
    assert mail("From: ana@example.com", *fields, trust="mx.example.com").verified is verified
    assert mail("From: ana@example.com", *fields).verified is None


@pytest.mark.parametrize(
    ("field", "spam"),
    [("X-Spam-Flag: YES", True), ("X-Spam-Status: No, score=1", False),
     ("X-Spam-Status: Yes, score=9", True), ("X-A: b", None)],
)  # fmt: skip
def test_a_spam_mark_counts_only_behind_a_trusted_hop(field: str, *, spam: bool | None) -> None:
    """A16."""
    seen = OURS + "spf=none"
    assert mail("From: ana@example.com", seen, field, trust="mx.example.com").spam is spam
    assert mail("From: ana@example.com", seen, field).spam is None


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ("=?utf-8?b?w6Q=?=", "ä"),
        ("=?utf-8?b?ww==?= =?utf-8?b?pA==?=", "ä"),
        ("=?iso-8859-1?q?=E4_b?=", "ä b"),
        ("=?utf-8?q?a?= =?utf-8?q?_b?= c", "a b c"),
        ("x=?utf-8?q?a?=y", "xay"),
        ("=?no-such-charset?q?a?=", "a"),
        ("=?utf-8?x?a?=", "=?utf-8?x?a?="),
        ("=?utf-8?b?!!!?=", ""),
        ("=?utf-8?q?open", "=?utf-8?q?open"),
    ],
)
def test_encoded_words_are_read_even_cut_in_two(raw: str, text: str) -> None:
    """A52."""
    assert decode_words(raw) == text


@pytest.mark.parametrize(
    ("text", "codec", "label"),
    [
        ("Grüße", "utf-8", "utf-8"), ("Grüße", "cp1252", "iso-8859-1"), ("Grüße", "utf-8", "us-ascii"),
        ("Grüße", "utf-8", None),
        ("“quoted”", "cp1252", "iso-8859-1"), ("汉字龍", "gb18030", "gb2312"), ("日本語", "cp932", "shift_jis"),
        ("日本語", "iso2022_jp", "iso-2022-jp"), ("日本語", "cp932", "iso-2022-jp"),
        ("한국어", "cp949", "ks_c_5601-1987"),
        ("русский", "koi8_r", "koi8-r"), ("русский", "cp1251", "windows-1251"), ("Grüße", "utf-8", '"UTF-8"'),
    ],
)  # fmt: skip
def test_charsets_are_read_under_the_names_they_come_with(text: str, codec: str, label: str | None) -> None:
    """A51."""
    assert decode_text(text.encode(codec), label) == (text, None)


@pytest.mark.parametrize(
    "label",
    ["idna", "zlib_codec", "undefined", "base64", "punycode", "unicode_escape", "rot13", "x" * 999, "\x00", "mbcs"],
)
def test_a_codec_that_is_no_charset_is_never_used(label: str) -> None:
    """Fault 25."""
    decoded = decode_text(b"caf\xe9", label)
    assert decoded.text == "café"
    assert decoded.note is not None


words = st.text("abXY09äßжя漢字가€😀“'?=_,;<>()@\"\\", min_size=1, max_size=12)


@given(st.lists(words, min_size=1, max_size=6), words, st.lists(words, max_size=4))
def test_what_the_standard_library_writes_is_read_back(subject: list[str], name: str, lines: list[str]) -> None:
    """Composed by another program, every word of the subject, the name and the text arrives."""
    message = EmailMessage(policy=SMTP.clone(max_line_length=900))  # it loses spaces where it folds
    message["From"] = Address(name, "ana", "example.com")
    message["To"] = "support@example.com"
    message["Subject"] = " ".join(subject)
    message.set_content("\n".join(lines) + "\n")
    read = parse(message.as_bytes(), {})
    assert read.subject == " ".join(subject)
    assert read.text.split() == lines
    assert read.sender == Mailbox("ana@example.com", name)
