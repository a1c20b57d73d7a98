"""What strangers do to mail servers, by the numbers of the catalogue of faults, on raw sockets.

Anchors: CVE-2023-51764 to 51766 and CVE-2024-27305 (smuggling), CVE-2021-33515 and its kin (STARTTLS injection), and
what was measured of the library that the door stands on.
"""

from __future__ import annotations

import email
import re
import socket
import ssl
import struct
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Callable
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, cast

import psutil
import pytest

from ingest.listeners.smtp_settings import Tls
from ingest.listeners.smtp_users import hash_password

if TYPE_CHECKING:
    from ingest.listeners.smtp import Session
    from tests.conftest import MailDoor

OpenDoor = Callable[..., "MailDoor"]
HEAD = b"From: ann@example.org\r\nMessage-ID: <1@example.org>\r\n"
MAIL = HEAD + b"\r\nMy screen is dark.\r\n"
INNER = b"MAIL FROM:<evil@example.org>\r\nRCPT TO:<support@example.com>\r\nDATA\r\nSubject: smuggled\r\n\r\nx"
ENDS = (
    b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"\r.\r", b"\r.\r\n", b"\r\n.\r", b"\n.\r", b"\r.\n",
    b"\r\n\x00.\r\n", b"\r\n.\x00\r\n", b"\r\r\n.\r\r\n", b"\r\n.\r\r\n", b"\r\n. \r\n", b"\n\n.\n\n",
)  # fmt: skip


@pytest.mark.parametrize("end", ENDS)
def test_no_other_end_of_data_ends_a_mail(mail_door: MailDoor, end: bytes) -> None:
    """Fault 1: one reply, one mail, and the attempt is counted."""
    with mail_door.talk().hello("support@example.com") as talk:
        talk.send(MAIL + b"before" + end + INNER + b"\r\n.\r\n")
        assert talk.reply().startswith("250 2.0.0 kept as receipt 1")
        assert talk.say("NOOP").startswith("250"), "no second reply stands in between"
    assert len(mail_door.kept) == 1
    bare = re.search(rb"(?<!\r)\n|\r(?!\n)", end) is not None
    assert mail_door.counts.seen["limit_total bare_newline"] == bare


def test_bytes_are_kept_as_they_came(mail_door: MailDoor) -> None:
    """Faults 2, 4 and 19: a bare CR in a header, a line of 20 kB, NUL and 8-bit bytes; the parser deals with them."""
    body = HEAD + b"Subject: a\rBcc: evil@example.org\r\n\r\n" + b"x" * 20_000 + b"\r\n\x00\x1b[31m\xff\r\n"
    with mail_door.talk().hello("support@example.com") as talk:
        talk.send(body + b".\r\n")
        assert talk.reply().startswith("250 ")
    assert mail_door.kept[0].body == body


def test_a_line_without_end_is_given_up_and_never_held(tmp_path: Path) -> None:
    """Fault 3: in a process of its own, whose memory grows by no more than twice the limit."""
    script = tmp_path / "door.py"
    script.write_text(CHILD)
    with subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE) as child:
        try:
            assert child.stdout is not None
            port = int(child.stdout.readline())
            before = psutil.Process(child.pid).memory_info().rss
            with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
                reply = _send_without_end(client)
                grown = psutil.Process(child.pid).memory_info().rss - before
        finally:
            child.kill()
    assert reply.startswith(b"552 5.3.4")
    assert grown < 2 * 4 * 1_048_576


CHILD = """
import asyncio, datetime, uvloop
from desk.receive import Kept
from ingest.listeners.smtp_server import serve_smtp
from ingest.listeners.smtp_settings import SmtpSettings
from ingest.listeners.sockets import bind

class Meter:
    def count(self, name, **labels): pass

async def keep(receipt):
    return Kept(1, repeated=False)

async def main():
    sockets = bind("127.0.0.1:0")
    settings = SmtpSettings("", {"support@example.com": "support"}, max_size=4 * 1_048_576)
    await serve_smtp(settings, keep, now=lambda: datetime.datetime.now(datetime.UTC), meter=Meter(), sockets=sockets)
    print(sockets[0].getsockname()[1], flush=True)
    await asyncio.sleep(60)

uvloop.run(main())
"""


def _send_without_end(client: socket.socket) -> bytes:
    """What the door says to 64 MiB with no line end in it."""
    client.sendall(b"EHLO x\r\nMAIL FROM:<a@example.org>\r\nRCPT TO:<support@example.com>\r\nDATA\r\n")
    seen = b""
    while b"354 " not in seen:
        seen += client.recv(4096)
    try:
        for _ in range(64):
            client.sendall(b"x" * 1_048_576)
            client.settimeout(0.02)
            try:
                return client.recv(100)
            except TimeoutError:
                client.settimeout(10)
    except (BrokenPipeError, ConnectionResetError):
        pass
    client.settimeout(10)
    return client.recv(100)


def test_mails_that_are_too_big_are_refused_and_the_connection_goes_on(open_mail_door: OpenDoor) -> None:
    """Fault 5: said at MAIL where the size is declared, else after the dot."""
    door = open_mail_door(max_size=2000)
    with door.talk().hello() as talk:
        assert talk.say("MAIL FROM:<a@example.org> SIZE=2001").startswith("552 5.3.4")
        assert talk.say("MAIL FROM:<a@example.org> SIZE=99999999999999999999999").startswith("501")
        assert talk.say("MAIL FROM:<a@example.org> SIZE=x").startswith("501")
        assert talk.mail(HEAD + b"\r\n" + b"x\r\n" * 700).startswith("552 5.3.4")
        assert talk.mail(MAIL + b"x" * (2000 - len(MAIL))).startswith("250 ")
    assert [len(receipt.body) for receipt in door.kept] == [2002]
    assert door.counts.seen["limit_total smtp_size"] == 1


def test_of_thousands_of_recipients_a_hundred_are_taken(mail_door: MailDoor) -> None:
    """Fault 6: 452 for the others, and the mail is kept once."""
    with mail_door.talk().hello() as talk:
        talk.say("MAIL FROM:<a@example.org>")
        replies = [talk.say(f"RCPT TO:<support+{number}@example.com>")[:9] for number in range(3000)]
        assert (replies.count("250 2.1.5"), replies.count("452 4.5.3")) == (100, 2900)
        assert talk.say("DATA").startswith("354")
        talk.send(MAIL + b".\r\n")
        assert talk.reply().startswith("250 ")
    assert len(mail_door.kept) == 1
    assert len(mail_door.kept[0].envelope["to"]) == 1, "a hundred spellings of one desk address are one address"


FOREIGN = (
    "ann@example.org", "support%example.org@example.com", "x%evil.example.org@example.com", "evil!support@example.com",
    "@example.org:support@example.com", "@example.com,@example.org:ann@example.org", "support@[127.0.0.1]",
    "support@evil-example.com", "support@example.com.evil.example.org", "support", "support@example.com@example.org",
    '"support@example.com"@example.org', '"x%y"@example.com', "support@example..com", "postmaster@[IPv6:::1]",
)  # fmt: skip


@pytest.mark.parametrize("address", FOREIGN)
def test_nothing_is_relayed(mail_door: MailDoor, address: str) -> None:
    """Fault 7: parsed, then compared exactly."""
    with mail_door.talk().hello() as talk:
        talk.say("MAIL FROM:<a@example.org>")
        assert talk.say(f"RCPT TO:<{address}>").startswith("550 5.7.1")
        assert talk.say("DATA").startswith("503")


def test_the_null_sender_is_welcome_and_an_unknown_address_is_not(mail_door: MailDoor) -> None:
    """Faults 8 and 9."""
    with mail_door.talk().hello() as talk:
        assert talk.say("MAIL FROM:<>").startswith("250")
        assert talk.say("RCPT TO:<nobody@example.com>").startswith("550 5.1.1")
        assert talk.say("RCPT TO:<support@example.com>").startswith("250")
        talk.say("DATA")
        talk.send(MAIL + b".\r\n")
        assert talk.reply().startswith("250 ")
    assert mail_door.kept[0].envelope["from"] == ""


@pytest.mark.parametrize("reset", [False, True])
def test_half_a_mail_is_nothing(mail_door: MailDoor, reset: bool) -> None:  # noqa: FBT001 - pytest gives it
    """Fault 10: closed or reset in the middle of DATA."""
    talk = mail_door.talk().hello("support@example.com")
    talk.send(MAIL)
    if reset:
        talk.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    talk.close()
    wait_until(lambda: mail_door.counts.seen["ingest_total aborted smtp"] == 1)
    assert mail_door.kept == []


def test_a_client_that_half_closes_after_the_dot_is_answered(mail_door: MailDoor) -> None:
    """Fault 11: kept once; the same mail again is a repeat."""
    for _ in range(2):
        mail_door.gate.clear()
        with mail_door.talk().hello("support@example.com") as talk:
            talk.send(MAIL + b".\r\n")
            talk.socket.shutdown(socket.SHUT_WR)
            time.sleep(0.05)  # the end is seen while the mail is being kept
            mail_door.gate.set()
            assert talk.reply() == "250 2.0.0 kept as receipt 1"
            assert talk.reply() == ""
    assert len(mail_door.kept) == 1
    assert mail_door.counts.seen["ingest_total repeated smtp"] == 1


def test_a_client_that_leaves_after_the_dot_does_not_undo_the_commit(mail_door: MailDoor) -> None:
    """Fault 11: reset while the mail is being kept."""
    kept = mail_door.kept
    mail_door.gate.clear()
    talk = mail_door.talk().hello("support@example.com")
    talk.send(MAIL + b".\r\n")
    wait_until(lambda: any(session.busy for session in list(mail_door.server._sessions)))
    talk.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    talk.close()
    wait_until(lambda: not mail_door.server._sessions)
    assert kept == []


def test_idle_connections_of_one_source_leave_room_for_others(open_mail_door: OpenDoor) -> None:
    """Fault 12: one source has its share, another is served at once, and all together are bounded."""
    door = open_mail_door(max_connections_per_source=5, max_connections=8)
    with ExitStack() as stack:
        mine = [stack.enter_context(door.talk("127.0.0.2")) for _ in range(10)]
        assert sorted(talk.reply()[:3] for talk in mine) == ["220"] * 5 + ["421"] * 5
        others = [stack.enter_context(door.talk(f"127.0.0.{3 + number}")) for number in range(4)]
        assert [talk.reply()[:3] for talk in others] == ["220"] * 3 + ["421"]
    wait_until(lambda: not door.server._sessions)
    with door.talk("127.0.0.2") as talk:
        assert talk.reply().startswith("220"), "who has left counts no more"


class _Peer:
    """As much of a connection as it takes to be let in: the address that it comes from."""

    def __init__(self, peer: str) -> None:
        self.peer = peer


def test_a_source_with_ipv6_is_its_whole_network(open_mail_door: OpenDoor) -> None:
    """Whoever has one address of a /64 has all of them, and could take every connection."""
    server = open_mail_door(max_connections_per_source=2).server
    peers = ["2001:db8::1", "2001:db8::2", "2001:db8::3", "2001:db8:0:1::1", "::ffff:192.0.2.1"]
    sessions = [cast("Session", _Peer(peer)) for peer in peers]
    assert [server.admit(session) is None for session in sessions] == [True, True, False, True, True]
    for session in sessions:
        server.leave(session)
    assert not server._sessions
    assert not server._per_source


def test_silence_and_slow_mails_end(open_mail_door: OpenDoor) -> None:
    """Fault 12: an idle session, one byte of a command, and a mail that drips."""
    span = timedelta(seconds=0.15)
    door = open_mail_door(idle=span, slow_for=span, slowest=1000)
    with door.talk().hello() as idle, door.talk().hello() as begun, door.talk().hello("support@example.com") as slow:
        begun.send(b"N")
        slow.send(b"Subject: x\r\n")
        assert idle.reply().startswith("421 4.4.2")
        assert begun.reply().startswith("421 4.4.2")
        assert slow.reply().startswith("421 4.4.2")
    assert door.counts.seen["limit_total smtp_idle"] == 2
    assert door.counts.seen["limit_total smtp_slow"] == 1
    assert door.kept == []


def test_a_mail_may_not_take_for_ever_at_any_rate(open_mail_door: OpenDoor) -> None:
    """Fault 12: the deadline of one mail."""
    door = open_mail_door(data_within=timedelta(0), slow_for=timedelta(seconds=0.05), slowest=0)
    with door.talk().hello("support@example.com") as talk:
        assert talk.reply().startswith("421 4.4.2")


def test_mails_being_received_share_a_bounded_room(open_mail_door: OpenDoor) -> None:
    """G9: who finds none is told to come back, and the room is free again afterwards."""
    door = open_mail_door(memory=100_000)
    with door.talk().hello("support@example.com") as first, door.talk().hello("support@example.com") as second:
        first.send(MAIL + b"x" * 60_000)
        wait_until(lambda: door.server.room.used > 60_000)
        second.send(MAIL + b"y" * 60_000 + b"\r\n.\r\n")
        assert second.reply().startswith("452 4.3.1")
        first.send(b"\r\n.\r\n")
        assert first.reply().startswith("250 ")
    assert door.server.room.used == 0


@pytest.mark.parametrize("command", ["NOOP", "RSET", "EHLO x", "HELP", "VRFY a", "XYZZY", "RCPT TO:<no@example.com>"])
def test_a_flood_of_commands_ends(mail_door: MailDoor, command: str) -> None:
    """Fault 13: 421 after a budget that each kept mail renews."""
    with mail_door.talk().hello() as talk:
        for _ in range(3):
            assert talk.mail(MAIL).startswith("250 ")
            assert all(talk.say("NOOP").startswith("250") for _ in range(60))
        talk.say("MAIL FROM:<a@example.org>")
        replies = [talk.say(command)]
        while not replies[-1].startswith("421"):
            assert len(replies) <= 110
            replies.append(talk.say(command))
        assert replies[-1].startswith("421 4.7.0")
        assert talk.reply() == ""


@pytest.mark.parametrize("verb", [b"GET / HTTP/1.1", b"POST /x HTTP/1.1", b"CONNECT a:25 HTTP/1.1", b"PRI * HTTP/2.0"])
def test_a_web_client_is_sent_away_at_its_first_word(mail_door: MailDoor, verb: bytes) -> None:
    """Fault 14: a form posted by a browser can't speak SMTP in its body."""
    with mail_door.talk() as talk:
        assert talk.reply().startswith("220")
        talk.send(verb + b"\r\nHost: x\r\n\r\nEHLO x\r\nMAIL FROM:<a@example.org>\r\nDATA\r\n")
        assert talk.reply().startswith("421 4.7.0")
        assert talk.reply() == ""
    assert mail_door.counts.seen["limit_total http_verb"] == 1


def test_commands_injected_before_encryption_are_dropped(open_mail_door: OpenDoor, own_tls: Tls) -> None:
    """Fault 15: what stood behind STARTTLS in the same packet is never obeyed, and all before it is forgotten."""
    door = open_mail_door(tls=own_tls)
    with door.talk().hello() as talk:
        talk.say("MAIL FROM:<evil@example.org>")
        talk.send(b"STARTTLS\r\nRSET\r\nEHLO injected\r\n")
        assert talk.reply().startswith("220 2.0.0")
        context = ssl.create_default_context(cafile=own_tls.certificate_file)
        with context.wrap_socket(talk.socket, server_hostname="localhost") as secure:
            secure.sendall(b"RCPT TO:<support@example.com>\r\n")
            assert secure.recv(100).startswith(b"503"), "the MAIL before encryption is forgotten"
            secure.sendall(b"MAIL FROM:<a@example.org>\r\n")
            assert secure.recv(100).startswith(b"503"), "and so is the EHLO"
            secure.sendall(b"EHLO x\r\n")
            assert b"STARTTLS" not in secure.recv(1000)
            secure.sendall(b"STARTTLS\r\n")
            assert secure.recv(100).startswith(b"50")


def test_nonsense_in_place_of_a_handshake_ends_one_connection_only(open_mail_door: OpenDoor, own_tls: Tls) -> None:
    """Fault 16."""
    door = open_mail_door(tls=own_tls)
    with door.talk().hello() as talk:
        assert talk.say("STARTTLS").startswith("220")
        talk.send(b"GET / HTTP/1.1\r\n\r\n" * 10)
        try:
            while talk.socket.recv(1000):
                pass
        except ConnectionResetError:
            pass
    wait_until(lambda: not door.server._sessions)
    with door.talk().hello() as talk:
        assert talk.mail(MAIL).startswith("250 ")
    assert door.counts.seen["limit_total tls_handshake"] == 1


def test_passwords_are_not_taken_in_clear_nor_guessed(
    open_mail_door: OpenDoor, own_tls: Tls, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Fault 17: 538 in clear; 535 after a pause, 421 after the third; nothing of it in a log."""
    users = tmp_path / "users"
    users.write_text(f"printer:{hash_password('right', bytes(16))}\n")
    door = open_mail_door(tls=own_tls, users_file=users, auth_pause=timedelta(seconds=0.05))
    guess = "AUTH PLAIN " + b64encode(b"\0printer\0planted-secret").decode()
    with caplog.at_level("DEBUG"), door.talk().hello() as talk:
        assert talk.say(guess).startswith("538 5.7.11")
        assert talk.say("STARTTLS").startswith("220")
        context = ssl.create_default_context(cafile=own_tls.certificate_file)
        with context.wrap_socket(talk.socket, server_hostname="localhost") as secure:
            lines = secure.makefile("rb")
            secure.sendall(b"EHLO x\r\n")
            while lines.readline()[3:4] == b"-":
                pass
            began = time.monotonic()
            replies = []
            for _ in range(3):
                secure.sendall(guess.encode() + b"\r\n")
                replies.append(lines.readline()[:3])
            lines.close()
    assert replies == [b"535", b"535", b"421"]
    assert time.monotonic() - began >= 0.15
    assert door.counts.seen["auth_fail_total smtp"] == 3
    assert "planted-secret" not in caplog.text
    assert guess[11:] not in caplog.text


def test_nobody_learns_who_exists_and_replies_keep_their_order(mail_door: MailDoor) -> None:
    """Fault 18: VRFY, EXPN, BDAT, and a client that talks ahead, data included."""
    with mail_door.talk() as talk:
        talk.send(
            b"EHLO x\r\nVRFY support\r\nEXPN all\r\nBDAT 3 LAST\r\nMAIL FROM:<a@example.org>\r\n"
            b"RCPT TO:<support@example.com>\r\nDATA\r\n" + MAIL + b".\r\nNOOP\r\nQUIT\r\n"
        )  # fmt: skip
        codes = [talk.reply()[:3] for _ in range(11)]
    assert codes == ["220", "250", "252", "502", "500", "250", "250", "354", "250", "250", "221"]
    assert mail_door.kept[0].body == MAIL


def test_a_whole_session_in_one_breath_is_answered(mail_door: MailDoor) -> None:
    """Fault 18: sent and half-closed at once, as with netcat."""
    with mail_door.talk() as talk:
        talk.send(b"EHLO x\r\nMAIL FROM:<a@example.org>\r\nRCPT TO:<support@example.com>\r\nDATA\r\n")
        talk.send(MAIL + b".\r\nQUIT\r\n")
        talk.socket.shutdown(socket.SHUT_WR)
        codes = [talk.reply()[:3] for _ in range(6)]
    assert codes[:6] == ["220", "250", "250", "250", "354", "250"]
    assert len(mail_door.kept) == 1


EVIL_ARGUMENTS = (
    b"<a\x00b@example.org>", b"<\x1b[31m@example.org>", b"<" + b"a" * 300 + b"@example.org>", b"<\xff\xfe@example.org>",
    b"<a b@example.org>", b"<a@example.org", b"<<a@example.org>>", b"<" + b"(" * 500 + b">", b"<a\tb@example.org>",
    b"", b"<a@example.org> NOTIFY=NEVER", b"<a@example.org> BODY=BINARYMIME", b"<a@example.org> SMTPUTF8=1",
    b"<a\rb@example.org>",
)  # fmt: skip


@pytest.mark.parametrize("argument", EVIL_ARGUMENTS)
def test_evil_addresses_are_refused_in_our_own_words(mail_door: MailDoor, argument: bytes) -> None:
    """Fault 19: a 5xx that repeats nothing of what was sent and names no exception."""
    with mail_door.talk().hello() as talk:
        for command in (b"MAIL FROM:", b"RCPT TO:"):
            talk.send(command + argument + b"\r\n")
            reply = talk.reply()
            assert reply.startswith("5")
            assert reply.isprintable()
            assert "example" not in reply
            assert "Error" not in reply
            talk.say("RSET")
            talk.say("MAIL FROM:<ok@example.org>")


def test_what_is_kept_of_names_is_clean(mail_door: MailDoor) -> None:
    """Fault 19: a greeting with escape codes and an address in the letters of the world."""
    with mail_door.talk() as talk:
        talk.reply()
        talk.send(b"EHLO \x1b[31mred\x00\r\n")
        talk.reply()
        assert talk.say("MAIL FROM:<чел@пример.example> SMTPUTF8 BODY=8BITMIME").startswith("250")
        talk.say("RCPT TO:<SUPPORT@EXAMPLE.COM.>")
        talk.say("DATA")
        talk.send(MAIL + b".\r\n")
        assert talk.reply().startswith("250 ")
    envelope = mail_door.kept[0].envelope
    assert envelope["helo"].isprintable()
    assert envelope["from"] == "чел@пример.example"


def test_a_command_line_without_end_is_bounded(mail_door: MailDoor) -> None:
    """Fault 19: 421, and the door lives."""
    with mail_door.talk() as talk:
        assert talk.reply().startswith("220")
        talk.send(b"N" * 20_000)
        assert talk.reply().startswith("421 4.7.0")
    with mail_door.talk().hello() as talk:
        assert talk.say("NOOP" + " x" * 1500).startswith("250"), "long is not endless"
        assert talk.mail(MAIL).startswith("250 ")


def test_the_kept_bytes_show_no_header_that_was_not_sent(mail_door: MailDoor) -> None:
    """Fault 2: dots and bare line ends put nothing into the header block of a strict reader."""
    with mail_door.talk().hello("support@example.com") as talk:
        talk.send(HEAD + b"Subject: x\r\n..\r\n\r\nbody\r\n.\r\n")
        assert talk.reply().startswith("250 ")
    assert set(email.message_from_bytes(mail_door.kept[0].body).keys()) <= {"From", "Message-ID", "Subject"}


def wait_until(look: Callable[[], bool]) -> None:
    """Wait, two seconds at most, until something has come true."""
    until = time.monotonic() + 2
    while not look():
        assert time.monotonic() < until, "not within two seconds"
        time.sleep(0.002)
