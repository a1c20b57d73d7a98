"""Mails as the programs of people and machines write them, and what the desk reads in them."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from incidents.signal import Bounce, Mail, Mailbox
from ingest.formats.mail import parse

FOLDER = Path(__file__).parents[1] / "samples" / "mails"
ENVELOPE = {"from": "somebody@example.com", "to": ["support@example.com"]}


def sample(name: str) -> Mail:
    return parse((FOLDER / f"{name}.eml").read_bytes(), ENVELOPE)


def test_a_plain_mail_is_read_whole() -> None:
    mail = sample("plain")
    assert (mail.sender, mail.recipients) == (Mailbox("ana@example.com", "Ana Example"), ("support@example.com",))
    assert (mail.subject, mail.message_id) == ("Printer on floor 3 is broken", "plain-1@client.example.com")
    assert mail.sent_at == datetime(2026, 11, 23, 8, tzinfo=UTC)
    assert (mail.automatic, mail.bounce, mail.hops, mail.notes, mail.html) == (None, None, 2, (), None)
    assert mail.new_text == mail.text
    assert mail.quoted == ""


def test_flowed_lines_are_one_paragraph_again() -> None:
    assert "I switched it off and on again, without success.\n\nGrüße\nAna" in sample("plain").text


def test_a_page_becomes_text_without_what_no_reader_sees() -> None:
    """A48, A52: hidden comments, styles and code are gone, the link stays; a word of the subject was cut in two."""
    mail = sample("html_only")
    assert mail.text == (
        "Hello desk,\n\nsince this morning nobody in sales can open the figures <https://figures.example.com/q4>."
        "\n\n- Ben\n- Cleo"
    )
    assert (mail.sender, mail.subject) == (
        Mailbox("ben@example.com", "Example, Ben"),
        "Kein Zugriff auf die Geschäftszahlen",
    )
    assert mail.html is not None


@pytest.mark.parametrize(
    ("name", "new_text"),
    [
        ("gmail_reply", "It works again, thank you!"),
        ("outlook_reply", "Still broken… please send someone."),
        ("outlook_html_reply", "It is solved."),
        ("apple_reply", "The second tray, I think."),
        ("thunderbird_german_reply", "Das zweite Fach."),
    ],
)
def test_a_reply_is_what_the_person_wrote_and_the_whole_text_stays(name: str, new_text: str) -> None:
    """A44 to A46."""
    mail = sample(name)
    assert mail.new_text == new_text
    assert new_text in mail.text
    assert len(mail.text) > len(new_text)
    assert mail.quoted
    assert mail.in_reply_to == "inc-1042-a@desk.example.com"


def test_answers_between_quoted_lines_survive() -> None:
    """A46."""
    mail = sample("inline_answers")
    assert "The second one." in mail.new_text
    assert "On Monday it still worked." in mail.new_text


def test_references_stand_oldest_first() -> None:
    assert sample("gmail_reply").references == ("plain-1@client.example.com", "inc-1042-a@desk.example.com")


def test_japanese_is_read_in_its_own_charset_and_under_a_wrong_name() -> None:
    """A51."""
    mail = sample("iso2022jp")
    assert (mail.subject, mail.text) == ("印刷できません", "三階のプリンターが動きません。")
    assert mail.sender is not None
    assert mail.sender.name == "見本 花子"
    assert sample("shift_jis_mislabelled").text == mail.text


def test_files_have_safe_names_each_once() -> None:
    """A55 to A57, A60, fault 28."""
    files = sample("attachments").attachments
    assert [(file.name, file.type, file.size, file.inline) for file in files] == [
        ("Bericht über Drucker.pdf", "application/pdf", 9, False),
        ("Protokoll.txt", "text/plain", 8, False),
        ("Protokoll_2.txt", "text/plain", 8, False),
        ("The other mail.eml", "message/rfc822", 74, False),
        ("attachment.png", "image/png", 8, False),
        ("winmail.dat", "application/ms-tnef", 0, False),
    ]
    assert all(len(file.sha256) == 64 for file in files)
    assert sample("attachments").text == "See the files."


def test_a_picture_that_the_page_shows_is_inline() -> None:
    """A56."""
    (picture,) = sample("apple_reply").attachments
    assert (picture.name, picture.inline) == ("tray.png", True)


def test_a_delivery_report_names_each_recipient_and_our_mail() -> None:
    """A39: what is permanent is hard, a delay is not."""
    mail = sample("bounce")
    assert mail.bounce == (
        Bounce("gone@example.org", "5.1.1", hard=True, reason="smtp; 550 5.1.1 <gone@example.org>: no such user here"),
        Bounce("late@example.org", "4.4.1", hard=False, reason="delayed"),
    )
    assert (mail.bounced_message_id, mail.automatic) == ("inc-1042-b@desk.example.com", "report")


def test_a_report_in_a_mail_systems_own_words_is_one_too() -> None:
    """A40."""
    mail = sample("bounce_in_words")
    assert mail.bounce is not None
    assert [(one.recipient, one.dsn, one.hard) for one in mail.bounce] == [("gone@example.org", "5.1.1", True)]
    assert mail.bounced_message_id == "inc-1042-c@desk.example.com"


def test_a_receipt_of_reading_reports_on_our_mail_and_on_no_failure() -> None:
    """A41."""
    mail = sample("read_receipt")
    assert (mail.bounce, mail.automatic, mail.bounced_message_id) == ((), "read_receipt", "inc-1042-a@desk.example.com")


def test_an_out_of_office_note_is_an_automatic_reply() -> None:
    """A33, A35."""
    mail = sample("out_of_office")
    assert (mail.automatic, mail.bounce, mail.auto_reply_suppressed) == ("auto_replied", None, True)


def test_mail_by_a_list_says_so_and_names_who_else_got_it() -> None:
    mail = sample("list")
    assert mail.automatic == "list"
    assert mail.copied == (
        Mailbox("office@lists.example.com", "Office"),
        Mailbox("dora@example.com", "Example, Dora"),
    )


def test_a_mail_without_anything_is_read_all_the_same() -> None:
    """A5, A6, A12, A42: no sender, no subject, no Message-ID, and the year 1."""
    mail = parse((FOLDER / "printer.eml").read_bytes(), {"from": "", "to": ["support@example.com"]})
    assert (mail.sender, mail.subject, mail.sent_at) == (None, "(no subject)", None)
    assert mail.message_id is not None
    assert mail.message_id.endswith("@no-message-id")
    assert mail.text == "Toner low on device 12"


def test_missing_boundaries_and_broken_encodings_lose_no_text() -> None:
    """A54."""
    mail = sample("broken_parts")
    assert mail.text.startswith("Hello world\n\ncafé")
    assert mail.notes


def test_cipher_text_is_kept_as_a_file_and_never_read() -> None:
    """A59."""
    mail = sample("encrypted")
    assert (mail.text, [file.name for file in mail.attachments]) == ("", ["encrypted.asc"])
    assert "encrypted" in mail.notes[0]


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.eml")), ids=lambda path: path.stem)
def test_line_ends_make_no_difference(path: Path) -> None:
    unix = path.read_bytes().replace(b"\r\n", b"\n")
    one, other = parse(unix, ENVELOPE), parse(unix.replace(b"\n", b"\r\n"), ENVELOPE)
    assert (one.subject, one.text, one.new_text, one.bounce, one.references) == (
        other.subject,
        other.text,
        other.new_text,
        other.bounce,
        other.references,
    )
    assert [file.name for file in one.attachments] == [file.name for file in other.attachments]
