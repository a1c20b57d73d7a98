"""The mail door as mail servers use it."""

from __future__ import annotations

import asyncio
import smtplib
import ssl
import subprocess
import sys
from base64 import b64encode
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from email.message import EmailMessage
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from desk.receive import NotKept, mail_receipt_key
from ingest.listeners.smtp_data import DataReader
from ingest.listeners.smtp_settings import Tls
from ingest.listeners.smtp_users import hash_password, knows, read_users

if TYPE_CHECKING:
    from tests.conftest import MailDoor

MAIL = b"From: ann@example.org\r\nMessage-ID: <1@example.org>\r\nSubject: dark\r\n\r\nMy screen is dark.\r\n"
PASSWORD = "a long password"


def test_a_mail_is_kept_with_its_envelope_before_its_yes(mail_door: MailDoor) -> None:
    """The reply names the receipt; the bytes are those of the sender."""
    with mail_door.talk().hello("Support+t0ken@Example.com", "vip@example.com") as talk:
        talk.send(MAIL + b".\r\n")
        assert talk.reply() == "250 2.0.0 kept as receipt 1"
    receipt = mail_door.kept[0]
    assert receipt.body == MAIL
    assert receipt.envelope == {
        "from": "ann@example.org", "to": ["Support+t0ken@Example.com", "vip@example.com"], "peer": "127.0.0.1",
        "helo": "client.example.org", "tls": False, "user": None, "mailbox": "support",
    }  # fmt: skip
    assert receipt.key == mail_receipt_key(MAIL, ["support@example.com", "vip@example.com"])
    assert (receipt.source, receipt.format) == ("smtp", "mail")
    assert receipt.received_at <= datetime.now(UTC)


def test_an_ordinary_client_is_served(mail_door: MailDoor) -> None:
    """Python's declares the size, uses 8-bit text and more than one mail a connection."""
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "ann@example.org", "support@example.com", "Grüße"
    message.set_content("Ärger mit dem Drucker.\n", cte="8bit")
    with smtplib.SMTP("localhost", mail_door.address[1], timeout=10) as client:
        client.send_message(message)
        client.send_message(message)
        assert client.noop()[0] == 250
        assert client.rset()[0] == 250
        assert client.help().startswith(b"2.0.0")
    assert len(mail_door.kept) == 2, "without Message-ID and Date nothing tells a repeat"


def test_no_yes_before_the_commit(mail_door: MailDoor) -> None:
    """The reply waits for the committer, however long that takes."""
    mail_door.gate.clear()
    with mail_door.talk().hello("support@example.com") as talk:
        talk.send(MAIL + b".\r\n")
        talk.socket.settimeout(0.05)
        with pytest.raises(TimeoutError):
            talk.socket.recv(1)
        talk.socket.settimeout(10)
        mail_door.gate.set()
        assert talk.socket.recv(100).startswith(b"250 ")


def test_what_can_not_be_kept_is_to_be_sent_again(mail_door: MailDoor) -> None:
    """Fault 20."""
    mail_door.failure = NotKept()
    with mail_door.talk().hello() as talk:
        assert talk.mail(MAIL) == "451 4.3.0 not kept, try again later"
        mail_door.failure = None
        assert talk.mail(MAIL).startswith("250 ")


def test_a_fault_of_ours_bounces_no_mail_and_tells_nothing(mail_door: MailDoor) -> None:
    """Finding 1."""
    mail_door.failure = RecursionError("inside of the desk")
    with mail_door.talk().hello() as talk:
        assert talk.mail(MAIL) == "451 4.3.0 not kept, try again later"
        mail_door.failure = None
        assert talk.mail(MAIL).startswith("250 ")
    assert mail_door.counts.seen["limit_total smtp_failure"] == 1


def test_a_desk_that_takes_nothing_says_so_at_once(mail_door: MailDoor) -> None:
    """Fault 20: before the client sends megabytes for nothing."""
    mail_door.ready = False
    with mail_door.talk() as talk:
        assert talk.reply().startswith("421 4.3.2")
        assert talk.reply() == ""


def test_a_stopping_door_finishes_what_arrives_and_greets_the_rest_goodbye(mail_door: MailDoor) -> None:
    """Idle sessions hear 421; a mail whose bytes are coming is kept."""
    idle, busy = mail_door.talk().hello(), mail_door.talk().hello("support@example.com")
    busy.send(MAIL)
    closing = mail_door.run(start(mail_door.server.close))
    assert idle.reply().startswith("421 4.3.2")
    busy.send(b".\r\n")
    assert busy.reply().startswith("250 ")
    assert busy.reply().startswith("421 4.3.2")
    mail_door.run(closing_of(closing))
    with pytest.raises(OSError, match="refused"):
        mail_door.talk()
    idle.close()
    busy.close()


async def start(work: Callable[[], Coroutine[Any, Any, None]]) -> asyncio.Task[None]:
    return asyncio.create_task(work())


async def closing_of(task: asyncio.Task[None]) -> None:
    await task


def test_a_catch_all_takes_what_has_no_address_of_its_own(open_mail_door: Callable[..., MailDoor]) -> None:
    """Fault 9: only where it is configured, and the order of the policy names the mailbox."""
    door = open_mail_door(addresses={"vip@example.com": "vip", "*@example.com": "any"})
    with door.talk().hello("whoever@example.com", "vip@example.com") as talk:
        talk.send(MAIL + b".\r\n")
        assert talk.reply().startswith("250 ")
    assert door.kept[0].envelope["mailbox"] == "vip"


def test_signing_in_needs_encryption_and_the_right_password(
    open_mail_door: Callable[..., MailDoor], own_tls: Tls, tmp_path: Path
) -> None:
    """The user's name is in the envelope then."""
    users = tmp_path / "users"
    users.write_text(f"# who may\n\nprinter:{hash_password(PASSWORD, bytes(16))}\n")
    door = open_mail_door(tls=own_tls, users_file=users)
    context = ssl.create_default_context(cafile=own_tls.certificate_file)
    with smtplib.SMTP("localhost", door.address[1], timeout=10) as client:
        client.starttls(context=context)
        with pytest.raises(smtplib.SMTPAuthenticationError):
            client.login("printer", "wrong")
        client.login("printer", PASSWORD)
        client.sendmail("ann@example.org", ["support@example.com"], MAIL)
    with smtplib.SMTP("localhost", door.address[1], timeout=10) as client:
        client.starttls(context=context)
        client.ehlo()
        client.user, client.password = "printer", PASSWORD
        assert client.auth("LOGIN", client.auth_login)[0] == 235
    assert (door.kept[0].envelope["user"], door.kept[0].envelope["tls"]) == ("printer", True)


def test_an_exchange_of_passwords_that_goes_wrong_gets_one_reply(
    open_mail_door: Callable[..., MailDoor], own_tls: Tls, tmp_path: Path
) -> None:
    """Given up, no base64, no name, no such way: each is told once, and the session goes on in step."""
    users = tmp_path / "users"
    users.write_text(f"printer:{hash_password(PASSWORD, bytes(16))}\n")
    door = open_mail_door(tls=own_tls, users_file=users)
    with smtplib.SMTP("localhost", door.address[1], timeout=10) as client:
        client.starttls(context=ssl.create_default_context(cafile=own_tls.certificate_file))
        client.ehlo()
        for first, then, code in (
            ("PLAIN", "*", 501), ("PLAIN", "&&", 501), ("PLAIN", b64encode(b"x").decode(), 501), ("LOGIN", "*", 501),
        ):  # fmt: skip
            assert client.docmd("AUTH", first)[0] == 334
            assert client.docmd(then)[0] == code
        assert client.docmd("AUTH", "CRAM-MD5")[0] == 504
        assert client.noop()[0] == 250


@pytest.mark.parametrize("size", [1, 2, 3, 5, 1000])
def test_however_the_bytes_are_cut_the_mail_is_the_same(size: int) -> None:
    """Dots, line ends and the end itself may be split anywhere."""
    sent = b"..first\r\n\r\n...\r\nbare\n.\ncr\r.\r\n..\r\nlast\r\n.\r\nQUIT\r\n"
    reader = DataReader(1000)
    rest = b""
    for start_at in range(0, len(sent), size):
        piece = sent[start_at : start_at + size]
        if reader.ended:
            rest += piece
        else:
            rest += reader.feed(piece) or b""
    assert reader.content() == b".first\r\n\r\n..\r\nbare\n.\ncr\r.\r\n.\r\nlast\r\n"
    assert rest == b"QUIT\r\n"


def test_lmtp_answers_for_every_recipient_in_their_order(
    open_mail_door: Callable[..., MailDoor], tmp_path: Path
) -> None:
    """Fault 21: three recipients, one refused, two replies; one receipt."""
    door = open_mail_door(lmtp=tmp_path / "lmtp.sock")
    with door.talk() as talk:
        assert talk.reply().startswith("220 localhost LMTP")
        assert talk.say("EHLO x").startswith("500")
        assert talk.say("HELO x").startswith("500")
        assert talk.say("LHLO x").startswith("250")
        assert talk.say("MAIL FROM:<>").startswith("250")
        assert talk.say("RCPT TO:<support@example.com>").startswith("250")
        assert talk.say("RCPT TO:<nobody@example.com>").startswith("550 5.1.1")
        assert talk.say("RCPT TO:<vip@example.com>").startswith("250")
        assert talk.say("DATA").startswith("354")
        talk.send(MAIL + b".\r\n")
        assert [talk.reply() for _ in range(2)] == ["250 2.0.0 kept as receipt 1"] * 2
        assert talk.say("NOOP").startswith("250")
        assert talk.say("QUIT").startswith("221")
    assert len(door.kept) == 1
    assert door.kept[0].source == "lmtp"


@pytest.mark.parametrize("failure", [NotKept(), RuntimeError("inside of the desk")])
def test_lmtp_tells_every_recipient_that_a_mail_is_not_kept(
    open_mail_door: Callable[..., MailDoor], tmp_path: Path, failure: Exception
) -> None:
    """Faults 20 and 21: two recipients, two temporary replies, and the session stays in step."""
    door = open_mail_door(lmtp=tmp_path / "lmtp.sock")
    door.failure = failure
    with door.talk() as talk:
        talk.send(b"LHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<support@example.com>\r\nRCPT TO:<vip@example.com>\r\nDATA\r\n")
        assert [talk.reply()[:3] for _ in range(6)] == ["220", "250", "250", "250", "250", "354"]
        talk.send(MAIL + b".\r\n")
        assert [talk.reply() for _ in range(2)] == ["451 4.3.0 not kept, try again later"] * 2
        assert talk.say("NOOP").startswith("250")


def test_a_socket_left_behind_is_taken_over(open_mail_door: Callable[..., MailDoor], tmp_path: Path) -> None:
    """A killed daemon leaves its Unix socket in the way of the next."""
    first, second = (open_mail_door(lmtp=tmp_path / "lmtp.sock") for _ in range(2))
    with second.talk() as talk:
        assert talk.reply().startswith("220")
    assert first is not second


def test_the_line_of_a_user_is_made_by_a_command(tmp_path: Path) -> None:
    """What `users_file` names is written by nobody's hand."""
    command = [sys.executable, "-m", "ingest.listeners.smtp_users", "ana"]
    made = subprocess.run(command, input="a password\n", capture_output=True, text=True, check=True, timeout=60)
    (tmp_path / "users").write_text(made.stdout)
    users = read_users(tmp_path / "users")
    assert knows(users, "ana", "a password")
    assert not knows(users, "ana", "another password")
