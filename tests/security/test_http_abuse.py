"""What strangers and broken senders do to webhooks, by the numbers of the catalogue of faults, on raw sockets."""

from __future__ import annotations

import asyncio
import gzip
import json
import re
import socket
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Callable
from contextlib import ExitStack, suppress
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from ingest.listeners.http_server import Gathering, HttpBounds, HttpServer

if TYPE_CHECKING:
    from tests.conftest import WebDoor

OpenDoor = Callable[..., "WebDoor"]
TOKEN = "a-token-of-one-source"


def alert(**fields: Any) -> dict[str, Any]:
    made: dict[str, Any] = {
        "status": "firing", "labels": {"alertname": "DiskFull", "instance": "a"}, "annotations": {},
        "startsAt": "2026-11-24T08:00:00Z", "endsAt": "0001-01-01T00:00:00Z", "fingerprint": "0123456789abcdef",
    }  # fmt: skip
    return made | fields


def group(*alerts: dict[str, Any]) -> bytes:
    return json.dumps({"version": "4", "groupKey": "{}", "status": "firing", "alerts": list(alerts)}).encode()


BODY = group(alert())

# ---------------------------------------------------------------------- 51 to 53: what stands in a body

UNREADABLE = (
    b"", b" ", b"{", b"{]", b"null", b"true", b"1", b'"text"', b"{'a': 1}", b'{"a": NaN}', b'{"alerts": [Infinity]}',
    b"\xef\xbb\xbf{}", '{"alerts": []}'.encode("utf-16"), b'{"alerts": "\xff"}', b"[" * 5000, b'{"a":' * 5000,
    b'{"alerts": [' + b"9" * 5000 + b"]}", b'{"alerts": []} trailing', b"alerts=1", b"<alerts/>",
)  # fmt: skip


@pytest.mark.parametrize("body", UNREADABLE)
def test_what_is_no_json_of_the_format_is_refused_in_our_words(web_door: WebDoor, body: bytes) -> None:
    """Fault 51: 400 as a problem, one sentence, nothing of the inside; nothing kept."""
    status, headers, problem = web_door.post(body)
    assert status == 400
    assert headers["content-type"] == "application/problem+json"
    assert problem["status"] == 400
    assert problem["code"] == "unreadable"
    assert not re.search(r"Error|Traceback|msgspec|json\.|File ", problem["detail"])
    assert web_door.kept == []


def test_half_a_surrogate_is_read_and_cleaned(web_door: WebDoor) -> None:
    """Fault 51: strict parsers refuse what real senders cut out of emoji."""
    body = group(alert(annotations={"summary": "cut"})).replace(b"cut", rb"cut \ud83d")
    assert web_door.post(body)[0] == 202
    assert web_door.kept[0].body == body


def test_one_bad_alert_does_not_lose_the_others(web_door: WebDoor) -> None:
    """Fault 52: 49 are accepted, one is named with its place and the reason."""
    alerts = [alert(fingerprint=f"{number:016x}") for number in range(50)]
    alerts[17] = alert(labels="none")
    status, _, answer = web_door.post(group(*alerts))
    assert (status, answer["accepted"]) == (202, 49)
    assert len(answer["refused"]) == 1
    assert "17" in answer["refused"][0]["path"]
    assert answer["refused"][0]["why"]
    assert answer["id"] == 1


@pytest.mark.parametrize("alerts", [[], [alert(labels=1)], [1, None, "x", []]])
def test_what_has_nothing_for_us_is_accepted_and_kept(web_door: WebDoor, alerts: list[Any]) -> None:
    """Fault 52: a sender that hears 4xx would drop or repeat it for ever."""
    status, _, answer = web_door.post(group(*alerts))
    assert (status, answer["accepted"], len(answer["refused"])) == (202, 0, len(alerts))
    assert len(web_door.kept) == 1


EVIL_FIELDS: tuple[dict[str, Any], ...] = (
    {"startsAt": "yesterday"}, {"startsAt": "9999-99-99T99:99:99Z"}, {"startsAt": 5}, {"endsAt": None},
    {"labels": {"x" * 5000: "y"}}, {"labels": {"a": "x" * 1_048_576}}, {"labels": {"a": 1, "b": None, "c": []}},
    {"labels": {f"l{number}": "x" for number in range(2000)}}, {"fingerprint": "../../etc/passwd"},
    {"fingerprint": 17}, {"fingerprint": ""}, {"annotations": []}, {"annotations": {"a": {"b": 1}}}, {"status": "?"},
    {"status": None}, {"generatorURL": "javascript:alert(1)"}, {"labels": {"alertname": "\x00\x1b[31m"}}, {"new": 1},
)  # fmt: skip


@pytest.mark.parametrize("fields", EVIL_FIELDS)
def test_evil_fields_are_answered_with_202(web_door: WebDoor, fields: dict[str, Any]) -> None:
    """Fault 52: cleaned or refused as an item, never a 4xx or 5xx for the whole."""
    status, _, answer = web_door.post(group(alert(**fields), alert()))
    assert status == 202
    assert answer["accepted"] + len(answer["refused"]) == 2
    assert answer["accepted"] >= 1


def test_a_huge_batch_does_not_hold_up_the_others(web_door: WebDoor) -> None:
    """Fault 53: while five thousand alerts are looked at, others are answered."""
    labels = {f"label{number}": "v" * 20 for number in range(40)}
    huge = group(*(alert(fingerprint=f"{number:016x}", labels=labels) for number in range(5000)))
    slowest = 0.0
    sending = threading.Thread(target=lambda: web_door.post(huge))
    sending.start()
    while sending.is_alive():
        began = time.monotonic()
        assert web_door.post(BODY)[0] == 202
        slowest = max(slowest, time.monotonic() - began)
    sending.join()
    assert any(len(receipt.body) == len(huge) for receipt in web_door.kept)
    assert slowest < 2


# ---------------------------------------------------------------------- 54, 55: sizes


def test_a_body_that_says_it_is_too_large_is_refused_unread(open_web_door: OpenDoor) -> None:
    """Fault 54: by its declared length; the size itself is taken."""
    door = open_web_door(max_size=len(BODY))
    assert door.post(BODY)[0] == 202
    assert door.post(BODY + b" ")[0] == 413
    with door.talk() as talk:
        talk.send(head(length=10_000_000_000))
        answer = talk.rest()
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"too_large" in answer


def test_chunks_are_bounded_too(open_web_door: OpenDoor) -> None:
    """Fault 54: a body that does not say how long it is."""
    door = open_web_door(max_size=1000)
    with door.talk() as talk:
        talk.send(head(framing="Transfer-Encoding: chunked"))
        for _ in range(20):
            talk.send(b"64\r\n" + b"x" * 100 + b"\r\n")
        assert talk.rest().startswith(b"HTTP/1.1 413 ")
    with door.talk() as talk:
        talk.send(head(framing="Transfer-Encoding: chunked") + b"%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY))
        assert talk.socket.recv(1000).startswith(b"HTTP/1.1 202 ")


@pytest.mark.parametrize("sent", [b"", b"{", b"POST"])
def test_what_does_not_come_in_time_is_given_up(open_web_door: OpenDoor, sent: bytes) -> None:
    """Faults 12 and 54: a length that is a lie, headers that stop, a connection that says nothing."""
    door = open_web_door(bounds=HttpBounds(request_within=timedelta(seconds=0.2)))
    with door.talk() as talk:
        talk.send(sent if sent in (b"", b"POST") else head(length=500) + sent)
        answer = talk.rest()
    assert answer.startswith(b"HTTP/1.1 408 ") or (not sent and not answer)
    assert door.kept == []


def test_a_body_that_drips_is_given_up(open_web_door: OpenDoor) -> None:
    """Fault 54: the time is that of the whole request, however often a byte comes."""
    door = open_web_door(bounds=HttpBounds(request_within=timedelta(seconds=0.2)))
    began = time.monotonic()
    with door.talk() as talk:
        talk.send(head(length=500))
        talk.socket.settimeout(0.02)
        answer = b""
        while not answer and time.monotonic() < began + 5:
            try:
                talk.send(b" ")
                answer = talk.socket.recv(1000)
            except TimeoutError:
                continue
    assert answer.startswith(b"HTTP/1.1 408 ")


def test_packed_bodies_are_unpacked(web_door: WebDoor) -> None:
    """Fault 55: gzip, once."""
    assert web_door.post(gzip.compress(BODY), Content_Encoding="gzip")[0] == 202
    assert web_door.kept[0].body == BODY


@pytest.mark.parametrize(
    ("encoding", "body", "status"),
    [
        ("br", BODY, 415), ("deflate", zlib.compress(BODY), 415),
        ("gzip, gzip", gzip.compress(gzip.compress(BODY)), 415),
        ("gzip", BODY, 400), ("gzip", gzip.compress(BODY)[:-5], 400), ("gzip", gzip.compress(BODY) * 2, 400),
        ("gzip", gzip.compress(b" " * 20_000_000), 413), ("gzip", gzip.compress(gzip.compress(BODY)), 400),
    ],
)  # fmt: skip
def test_other_packings_are_refused(web_door: WebDoor, encoding: str, body: bytes, status: int) -> None:
    """Fault 55."""
    assert web_door.post(body, Content_Encoding=encoding)[0] == status
    assert web_door.kept == []


def test_a_bomb_is_not_unpacked(tmp_path: Path) -> None:
    """Fault 55: 100 MB of nothing in 100 kB; the door's process grows by less than 20 MB."""
    script = tmp_path / "door.py"
    script.write_text(CHILD)
    bomb = gzip.compress(bytes(100_000_000), 9)
    with subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE) as child:
        try:
            assert child.stdout is not None
            port = int(child.stdout.readline())
            before = psutil.Process(child.pid).memory_info().rss
            answers = [_post_to(port, bomb) for _ in range(3)]
            grown = psutil.Process(child.pid).memory_info().rss - before
        finally:
            child.kill()
    assert answers == [413] * 3
    assert grown < 20_000_000


CHILD = """
import asyncio, datetime, hashlib, uvloop
from ingest.listeners.http import Door, Source
from ingest.listeners.http_server import HttpServer
from ingest.listeners.sockets import bind
from ingest.registry import load_alert_format

class Meter:
    def count(self, name, **labels): pass

async def main():
    shape = load_alert_format("json").shape
    source = Source("billing", "json", hashlib.sha256(b"a-token-of-one-source").digest(), shape)
    door = Door(
        {"billing": source}, keep=None, now=lambda: datetime.datetime.now(datetime.UTC), meter=Meter(),
        ready=lambda: True, others=None,
    )
    sockets = bind("127.0.0.1:0")
    server = HttpServer(door, meter=Meter())
    await server.start(sockets)
    print(sockets[0].getsockname()[1], flush=True)
    await asyncio.sleep(60)

uvloop.run(main())
"""


def _post_to(port: int, body: bytes) -> int:
    from http.client import HTTPConnection  # noqa: PLC0415 - for this one test

    client = HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        headers = {"Content-Type": "application/json", "Content-Encoding": "gzip", "Authorization": f"Bearer {TOKEN}"}
        client.request("POST", "/ingest/billing", body, headers)
        return client.getresponse().status
    finally:
        client.close()


# ---------------------------------------------------------------------- 56: framing


def head(*, framing: str | None = None, length: int | None = None, more: str = "") -> bytes:
    """The head of a post with the right token."""
    given = framing if framing is not None else f"Content-Length: {length}"
    return (
        f"POST /ingest/prom HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n"
        f"Content-Type: application/json\r\n{more}{given}\r\n\r\n"
    ).encode()


SMUGGLED = head(length=len(BODY)) + BODY
CHUNKED = b"%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY)
LENGTH = f"Content-Length: {len(BODY)}"
FRAMES = {
    "both, length first": head(framing=f"{LENGTH}\r\nTransfer-Encoding: chunked") + CHUNKED,
    "both, chunked first": head(framing=f"Transfer-Encoding: chunked\r\n{LENGTH}") + CHUNKED,
    "two lengths": head(framing=f"{LENGTH}\r\nContent-Length: 5") + BODY,
    "the same length twice": head(framing=f"{LENGTH}\r\n{LENGTH}") + BODY,
    "a list of lengths": head(framing=f"{LENGTH}, {len(BODY)}") + BODY,
    "a signed length": head(framing=f"Content-Length: +{len(BODY)}") + BODY,
    "a negative length": head(framing="Content-Length: -1") + BODY,
    "a hexadecimal length": head(framing="Content-Length: 0x10") + BODY,
    "an endless length": head(framing="Content-Length: " + "9" * 40) + BODY,
    "an unknown transfer": head(framing="Transfer-Encoding: xchunked") + CHUNKED,
    "chunked not last": head(framing="Transfer-Encoding: chunked, identity") + CHUNKED,
    "a folded header": head(length=len(BODY), more="X-A: 1\r\n folded\r\n") + BODY,
    "a space before the colon": head(framing=f"Content-Length : {len(BODY)}") + BODY,
    "a NUL in a header": head(length=len(BODY), more="X-A: \x00\r\n") + BODY,
    "a bare CR in a header": head(length=len(BODY), more="X-A: a\rContent-Length: 0\r\n") + BODY,
    "no colon": head(length=len(BODY), more="X-A\r\n") + BODY,
    "a signed chunk": head(framing="Transfer-Encoding: chunked") + b"-5\r\n" + BODY,
    "a chunk of 0x": head(framing="Transfer-Encoding: chunked") + b"0x5\r\n" + BODY,
    "an endless chunk": head(framing="Transfer-Encoding: chunked") + b"f" * 40 + b"\r\n" + BODY,
    "a chunk longer than it says": head(framing="Transfer-Encoding: chunked") + b"5\r\n" + BODY + b"\r\n0\r\n\r\n",
    "a request line of one word": b"POST\r\n\r\n",
    "an unknown version": SMUGGLED.replace(b"HTTP/1.1", b"HTTP/9.9"),
    "nothing of HTTP": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(100),
}


@pytest.mark.parametrize("name", FRAMES)
def test_ambiguous_framing_is_refused_and_the_connection_closed(web_door: WebDoor, name: str) -> None:
    """Fault 56: one 400, and what stands behind it is never taken for a request."""
    with web_door.talk() as talk:
        talk.send(FRAMES[name] + SMUGGLED)
        answer = talk.rest()
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.count(b"HTTP/1.1 ") == 1
    assert b"connection: close" in answer.lower()


@pytest.mark.parametrize("chunk", [b"%x;a=b\r\n", b"%X\r\n", b"0000%x\r\n"])
def test_what_is_only_unusual_is_one_request(web_door: WebDoor, chunk: bytes) -> None:
    """Fault 56: chunk extensions, capital digits, trailers; and the next request on the connection is the next."""
    body = chunk % len(BODY) + BODY + b"\r\n0\r\nX-Trailer: 1\r\nIdempotency-Key: trailer\r\n\r\n"
    with web_door.talk() as talk:
        talk.send(head(framing="Transfer-Encoding: chunked") + body)
        talk.send(head(length=len(BODY), more="Connection: close\r\n") + BODY)
        answer = talk.rest()
    assert answer.count(b"HTTP/1.1 202 ") == 2
    assert [receipt.body for receipt in web_door.kept] == [BODY, BODY]
    assert web_door.kept[0].key is None, "what follows a body is no header"


@pytest.mark.parametrize("sent", [SMUGGLED.replace(b"\r\n", b"\n"), b"POST /ingest/prom\r\n\r\n", b"GET /\r\n\r\n"])
def test_lines_that_others_end_elsewhere_get_one_answer(web_door: WebDoor, sent: bytes) -> None:
    """Fault 56: ended by LF alone, or of HTTP 0.9, which knows no second request."""
    with web_door.talk() as talk:
        talk.send(sent + SMUGGLED)
        answer = talk.rest()
    assert answer.count(b"HTTP/1.1 ") == 1
    assert web_door.kept == []


def test_headers_without_end_are_refused(web_door: WebDoor) -> None:
    """Fault 54: in one piece of a line, and in many lines."""
    for more in (b"X-A: " + b"a" * 400_000, b"X-A: a\r\n" * 40_000):
        with web_door.talk() as talk:
            with suppress(BrokenPipeError, ConnectionResetError):
                talk.send(b"POST /ingest/prom HTTP/1.1\r\n" + more)
            answer = talk.rest()
        assert answer.startswith(b"HTTP/1.1 400 ") or not answer
        assert answer.count(b"HTTP/1.1 ") <= 1
    assert web_door.counts.seen["limit_total http_head"] == 2
    assert web_door.post(BODY)[0] == 202


def test_connections_are_bounded(open_web_door: OpenDoor) -> None:
    """Fault 12: who comes too many is told when to come back."""
    door = open_web_door(bounds=HttpBounds(connections=3))
    with ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(door.talk())
        last = stack.enter_context(door.talk())
        answer = last.rest()
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b"retry-after: " in answer.lower()


async def _much(scope: Any, receive: Any, send: Any) -> None:  # noqa: ARG001 - the shape of an application
    """More than all buffers on the way hold."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"x" * 30_000_000})


async def _ask_and_never_read(meter: Any) -> None:
    """Until the server has let the client go."""
    server = HttpServer(_much, meter=meter, bounds=HttpBounds(unread_for=timedelta(seconds=0.2)))
    with socket.create_server(("127.0.0.1", 0)) as listening, socket.socket() as client:
        listening.setblocking(False)  # noqa: FBT003 - the standard library's signature
        await server.start([listening])
        client.connect(listening.getsockname())
        client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        async with asyncio.timeout(10):
            while not meter.seen or server._server.server_state.connections:  # noqa: ASYNC110 - it has no event
                await asyncio.sleep(0.01)
        await server.close()


def test_who_never_reads_the_answer_is_let_go(web_door: WebDoor) -> None:
    """It would hold a connection, and its answer in memory, for ever."""
    asyncio.run(_ask_and_never_read(web_door.counts))
    assert web_door.counts.seen == {"limit_total http_unread": 1}


class _Full(asyncio.Transport):
    """A transport whose last bytes nobody reads."""

    closed = False

    def __init__(self) -> None:
        super().__init__()
        self.aborted = asyncio.Event()

    def get_write_buffer_size(self) -> int:
        return 10

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.aborted.set()


async def _close_unread() -> None:
    transport = _Full()
    Gathering(transport, asyncio.get_running_loop(), 0.01).close()
    assert (transport.closed, transport.aborted.is_set()) == (True, False)
    await asyncio.wait_for(transport.aborted.wait(), 10)


def test_a_closed_connection_waits_for_its_reader_only_so_long() -> None:
    """Closing sends what is left first; a client that never reads it would keep it open."""
    asyncio.run(_close_unread())


# ---------------------------------------------------------------------- 57, 58: who


@pytest.mark.parametrize(
    ("path", "bearer"),
    [
        ("/ingest/prom", ""), ("/ingest/prom", "Bearer "), ("/ingest/prom", "Bearer wrong"),
        ("/ingest/prom", f"Bearer {TOKEN[:-1]}"), ("/ingest/prom", f"Bearer {TOKEN}x"),
        ("/ingest/prom", f"Basic {TOKEN}"), ("/ingest/nobody", f"Bearer {TOKEN}"), ("/ingest/", f"Bearer {TOKEN}"),
        ("/ingest/prom/wrong", f"Bearer {TOKEN}"),
        (f"/ingest/prom?token={TOKEN}", ""), (f"/ingest/prom?x=1&token={TOKEN}", f"Bearer {TOKEN}"),
        (f"/ingest/prom/{TOKEN}/more", ""), (f"/ingest/prom/{TOKEN}%00", ""), ("/ingest/prom/%ff%fe", ""),
    ],
)  # fmt: skip
def test_without_its_token_nobody_posts(web_door: WebDoor, path: str, bearer: str) -> None:
    """Fault 57: the same 401 for a wrong token and for a source that doesn't exist; nothing of it is kept."""
    status, headers, problem = web_door.post(BODY, path, Authorization=bearer)
    assert status == 401
    assert headers["www-authenticate"] == "Bearer"
    assert problem == web_door.post(BODY, "/ingest/nobody", Authorization="")[2]
    assert TOKEN not in json.dumps(problem)
    assert web_door.kept == []
    assert sum(count for name, count in web_door.counts.seen.items() if name.startswith("auth_fail_total")) == 2


def test_who_may_not_post_is_told_before_the_body_comes(web_door: WebDoor) -> None:
    """Fault 57: the answer stands while all of the body is still to come."""
    with web_door.talk() as talk:
        talk.send(head(length=1_000_000).replace(TOKEN.encode(), b"wrong"))
        assert talk.socket.recv(1000).startswith(b"HTTP/1.1 401 ")


@pytest.mark.parametrize("header", ["Idempotency_Key", "Ce_Id", "X_Amz_Sns_Message_Id"])
def test_the_same_post_by_its_senders_own_id_is_kept_once(web_door: WebDoor, header: str) -> None:
    """Fault 58: a replay is answered like the first, and changes nothing."""
    answers = [web_door.post(BODY, **{header: "id-1"}) for _ in range(3)]
    assert [status for status, _, _ in answers] == [202] * 3
    assert {answer["id"] for _, _, answer in answers} == {1}
    assert web_door.post(BODY, **{header: "id-2"})[2]["id"] == 2
    assert web_door.post(group(), **{header: "id-1"})[2]["id"] == 3, "the same id with another body is another post"


def test_equal_posts_without_an_id_are_told_apart(web_door: WebDoor) -> None:
    """Fault 60: monitors say "still so" in equal words."""
    assert [web_door.post(BODY)[2]["id"] for _ in range(2)] == [1, 2]
