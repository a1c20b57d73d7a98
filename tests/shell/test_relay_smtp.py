"""Handing over by SMTP, to a relay on loopback that behaves as badly as we tell it to."""

from __future__ import annotations

import asyncio
import ssl
import subprocess
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import pytest
from aiosmtpd.smtp import SMTP as Server  # noqa: N811 - the class is called as the protocol is
from aiosmtpd.smtp import Envelope, Session

from notifiers.errors import BadRelay
from notifiers.kinds.smtp import Address, SmtpRelay, read_address
from notifiers.registry import open_relay
from notifiers.spec import Handed, Outcome, Parcel, RelayUnreachable

T = TypeVar("T")

#: What a script answers to a command: a reply; None drops the connection; `HANG` says nothing more.
Reply = bytes | None
HANG = b""
KIND = {
    "hello": b"220 sink", "EHLO": b"250 sink", "MAIL": b"250 ok", "RCPT": b"250 ok", "DATA": b"354 go on",
    "dot": b"250 taken", "RSET": b"250 ok", "QUIT": b"221 bye",
}  # fmt: skip


@dataclass
class Sink:
    """A relay that answers as its script says, and remembers what it was given."""

    script: Callable[[str, str], Reply] = lambda _verb, _line: KIND[_verb]
    mails: list[bytes] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    connections: int = 0

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            await self._talk(reader, writer)
        writer.close()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        verb, line = "hello", ""
        while True:
            reply = self.script(verb, line)
            if reply is None:
                return
            if reply == HANG:
                await reader.read()
                return
            writer.write(reply + b"\r\n")
            await writer.drain()
            if verb == "QUIT":
                return
            if verb == "DATA" and reply.startswith(b"354"):
                self.mails.append((await reader.readuntil(b"\r\n.\r\n"))[:-3])
                verb = "dot"
                continue
            line = (await reader.readuntil(b"\r\n")).decode().strip()
            self.lines.append(line)
            verb = line[:4].upper()


def with_sink(sink: Sink, act: Callable[[int], Coroutine[Any, Any, T]]) -> T:
    async def run() -> T:
        server = await asyncio.start_server(sink.talk, "127.0.0.1", 0)
        async with server:
            return await act(server.sockets[0].getsockname()[1])

    return asyncio.run(run())


def relay(port: int, **timeouts: float) -> SmtpRelay:
    address = Address("127.0.0.1", port, "none", verify=False)
    return SmtpRelay(address, sender="desk@example.com", domain="desk.example.com", **timeouts)


def parcels(count: int) -> list[Parcel]:
    return [Parcel(f"p{n}@example.com", f"Subject: {n}\r\n\r\n.dot {n}\r\n".encode()) for n in range(count)]


def hand_over(sink: Sink, count: int, **timeouts: float) -> Sequence[Handed | None]:
    return with_sink(sink, lambda port: relay(port, **timeouts).hand_over(parcels(count)))


def outcomes(results: Sequence[Handed | None]) -> list[str | None]:
    return [None if handed is None else handed.outcome.value for handed in results]


def test_many_mails_go_over_few_connections() -> None:
    sink = Sink()
    assert outcomes(hand_over(sink, 40)) == ["delivered"] * 40
    assert sink.connections <= 4
    assert len(sink.mails) == 40
    assert sink.lines[:2] == ["EHLO desk.example.com"] * 2
    assert sink.lines.count("MAIL FROM:<desk@example.com>") == 40


def test_each_recipient_has_a_result_of_its_own() -> None:
    """Fault 76: mixed 250, 451 and 550 in one batch."""
    replies = {"p1@example.com": b"451 4.7.1 later", "p2@example.com": b"550 5.1.1 no such user"}

    def script(verb: str, line: str) -> Reply:
        return replies.get(line[9:-1], KIND["RCPT"]) if verb == "RCPT" else KIND[verb]

    sink = Sink(script)
    results = hand_over(sink, 4)
    assert results == [
        Handed(Outcome.DELIVERED, "250", "taken"), Handed(Outcome.DELAYED, "451", "4.7.1 later"),
        Handed(Outcome.FAILED, "550", "5.1.1 no such user"), Handed(Outcome.DELIVERED, "250", "taken"),
    ]  # fmt: skip
    assert len(sink.mails) == 2


@pytest.mark.parametrize(
    ("verb", "reply", "outcome"),
    [
        ("MAIL", b"550 5.7.1 sender refused", "delayed"),
        ("MAIL", b"552 5.3.4 too large", "failed"),
        ("MAIL", b"421 too many mails", None),
        ("RCPT", b"421 too many recipients", None),
        ("DATA", b"554 5.6.0 not like this", "failed"),
        ("DATA", b"451 full", "delayed"),
        ("dot", b"451 4.3.0 try later", "delayed"),
        ("dot", b"554 5.7.1 content", "failed"),
        ("dot", b"what", "delayed"),
        ("RCPT", b"what", "delayed"),
    ],
)
def test_a_refusal_means_what_it_says(verb: str, reply: bytes, outcome: str | None) -> None:
    """A refused sender is the desk's own trouble, so no mail dies of it."""
    results = hand_over(Sink(lambda said, _: reply if said == verb else KIND[said]), 1)
    assert outcomes(results) == [outcome]


def test_a_connection_dropped_after_the_dot_is_an_attempt() -> None:
    """Fault 77. Nobody knows whether the relay has it, so it goes again, as the same bytes."""
    sink = Sink(lambda verb, _: None if verb == "dot" else KIND[verb])
    [handed] = hand_over(sink, 1)
    assert handed is not None
    assert (handed.outcome, handed.code) == (Outcome.DELAYED, None)
    assert len(sink.mails) == 1


def test_a_connection_dropped_before_the_content_is_none() -> None:
    sink = Sink(lambda verb, _: None if verb == "RCPT" else KIND[verb])
    assert hand_over(sink, 1) == [None]


def test_a_connection_that_takes_two_mails_leaves_the_others_for_the_next_round() -> None:
    taken = 0

    def script(verb: str, _line: str) -> Reply:
        nonlocal taken
        taken += verb == "dot"
        return b"421 that is enough" if verb == "MAIL" and taken >= 2 else KIND[verb]

    results = outcomes(hand_over(Sink(script), 12))
    assert results.count("delivered") >= 2
    assert results.count(None) == 12 - results.count("delivered") > 0


def test_one_slow_mail_holds_up_no_other() -> None:
    """Fault 78."""
    slow = iter([HANG])
    sink = Sink(lambda verb, _: next(slow, KIND["dot"]) if verb == "dot" else KIND[verb])
    results = outcomes(hand_over(sink, 12, data_timeout=0.3))
    assert results.count("delivered") == 11
    assert results.count("delayed") == 1


def test_a_batch_ends_when_its_time_is_over() -> None:
    """So that no row outlives its lease: what was not begun stays as it was."""
    assert outcomes(hand_over(Sink(), 12, patience=-1)) == ["delivered"] * 4 + [None] * 8


def test_a_relay_that_winds_down_finishes_what_it_began() -> None:
    async def run(port: int) -> Sequence[Handed | None]:
        winding = relay(port)
        winding.wind_down()
        return await winding.hand_over(parcels(12))

    assert outcomes(with_sink(Sink(), run)) == ["delivered"] * 4 + [None] * 8


@pytest.mark.parametrize("reply", [HANG, None, b"554 go away", b"421 busy", b"what"])
@pytest.mark.parametrize("verb", ["hello", "EHLO"])
def test_a_relay_that_does_not_greet_is_no_attempt(verb: str, reply: Reply) -> None:
    """Faults 75 and 78."""
    sink = Sink(lambda said, _: reply if said in {verb, "HELO"} else KIND[said])
    with pytest.raises(RelayUnreachable, match="takes no connection"):
        hand_over(sink, 3, connect_timeout=0.2, command_timeout=0.2)
    assert not sink.mails


def test_a_relay_that_knows_only_helo_will_do() -> None:
    greeted = {**KIND, "EHLO": b"502 what", "HELO": b"250 sink"}
    assert outcomes(hand_over(Sink(lambda verb, _: greeted[verb]), 1)) == ["delivered"]


def test_a_closed_port_is_no_attempt() -> None:
    """Fault 75."""
    with pytest.raises(RelayUnreachable, match=r"127\.0\.0\.1:1 takes no connection"):
        asyncio.run(relay(1).hand_over(parcels(3)))


def test_the_relays_words_are_cut_and_cleaned() -> None:
    """Fault 80: 8-bit, control characters, many lines."""
    reply = b"".join(b"250-\x1b[31mgr\xfc\xdfe %d\x00\x85 " % n + b"x" * 60 + b"\r\n" for n in range(90)) + b"250 end"
    [handed] = hand_over(Sink(lambda verb, _: reply if verb == "dot" else KIND[verb]), 1)
    assert handed is not None
    assert handed.outcome is Outcome.DELIVERED
    assert len(handed.text.encode()) <= 4096
    assert handed.text.replace("\n", "").isprintable()
    assert handed.text.startswith("[31mgr\ufffd\ufffde 0")


def test_an_endless_reply_ends_the_connection() -> None:
    """Fault 80."""
    [handed] = hand_over(Sink(lambda verb, _: b"250-x\r\n" * 20_000 if verb == "dot" else KIND[verb]), 1)
    assert handed is not None
    assert handed.outcome is Outcome.DELAYED


# ---------------------------------------------------------------------- a real server


@dataclass
class Kept:
    """An aiosmtpd handler that keeps mails."""

    envelopes: list[Envelope] = field(default_factory=list)
    tls: list[bool] = field(default_factory=list)

    async def handle_DATA(self, _server: Server, session: Session, envelope: Envelope) -> str:  # noqa: N802 - its name
        self.envelopes.append(envelope)
        self.tls.append(session.ssl is not None)
        return "250 taken"


@pytest.fixture(scope="module")
def server_tls(tmp_path_factory: pytest.TempPathFactory) -> ssl.SSLContext:
    """A certificate for localhost that nobody vouches for."""
    folder: Path = tmp_path_factory.mktemp("tls")
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-days", "2", "-subj", "/CN=localhost", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True, timeout=30)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context


def through_server(kept: Kept, options: str, count: int, tls: ssl.SSLContext | None = None) -> Sequence[Handed | None]:
    async def run() -> Sequence[Handed | None]:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: Server(kept, tls_context=tls), "127.0.0.1", 0)
        async with server:
            url = f"smtp://127.0.0.1:{server.sockets[0].getsockname()[1]}{options}"
            return await open_relay(url, sender="desk@example.com", domain="desk.example.com").hand_over(parcels(count))

    return asyncio.run(run())


def test_a_real_server_gets_exactly_our_bytes() -> None:
    kept = Kept()
    assert outcomes(through_server(kept, "", 5)) == ["delivered"] * 5
    got = {envelope.rcpt_tos[0]: envelope.content for envelope in kept.envelopes}
    assert got == {parcel.recipient: parcel.body for parcel in parcels(5)}
    assert {envelope.mail_from for envelope in kept.envelopes} == {"desk@example.com"}


def test_tls_is_used_when_offered_and_verified_when_required(server_tls: ssl.SSLContext) -> None:
    """Fault 75. A certificate that nobody vouches for is taken for want of better, but never where TLS is required."""
    kept = Kept()
    assert outcomes(through_server(kept, "", 1, server_tls)) == ["delivered"]
    assert outcomes(through_server(kept, "?tls=required&verify=no", 1, server_tls)) == ["delivered"]
    assert outcomes(through_server(kept, "?tls=none", 1, server_tls)) == ["delivered"]
    assert kept.tls == [True, True, False]
    with pytest.raises(RelayUnreachable, match="certificate"):
        through_server(kept, "?tls=required", 1, server_tls)
    with pytest.raises(RelayUnreachable):
        through_server(kept, "?tls=required", 1)


# ---------------------------------------------------------------------- its address


def test_a_url_says_all_that_a_relay_needs(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("pa ss\n")
    assert read_address(urlsplit("smtp://example.com")) == Address("example.com", 25, "starttls", verify=False)
    assert read_address(urlsplit("smtps://[::1]")) == Address("::1", 465, "wrapped", verify=True)
    url = f"smtp://ana%40example.com@mail.example.com:587?tls=required&password_file={secret}"
    assert read_address(urlsplit(url)) == Address(
        "mail.example.com", 587, "required", verify=True, user="ana@example.com", password="pa ss"
    )


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://x", "the known ones are smtp, smtps, maildir"),
        ("smtp://", "names no host"),
        ("smtp://x:999999", "is no address"),
        ("smtp://x?tls=maybe", r"tls=none\|starttls\|required"),
        ("smtp://x?verfy=no", "the known options are password_file, tls, verify"),
        ("smtp://u:p@x", "holds a password"),
        ("smtp://u@x", "no .password_file"),
        ("smtp://u@x?password_file=/nowhere", "can be overheard"),
        ("smtps://u@x?password_file=/nowhere", "No such file"),
        ("maildir:here", "absolute path"),
        ("maildir://host/path", "absolute path"),
    ],
)
def test_a_bad_url_is_refused_with_what_was_expected(url: str, why: str) -> None:
    with pytest.raises(BadRelay, match=why):
        open_relay(url, sender="desk@example.com", domain="desk.example.com")
