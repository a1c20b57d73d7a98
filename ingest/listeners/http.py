"""The webhook door: a bare ASGI application that takes `/ingest/…` and hands everything else on.

Between the last byte of a body and its commit stands only what the answer needs: the token, the size, the shape of
the JSON. A 2xx means committed; trouble of ours is a 503, never a 429, for senders drop on that.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import logging
import zlib
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec

from desk.receive import Kept, NotKept, Receipt, post_receipt_key
from ingest.listeners.bounds import Meter, Room
from ingest.spec import Shape, Unreadable
from kit.text import header_text

Scope = Mapping[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Asgi = Callable[[Any, Any, Any], Awaitable[None]]

PREFIX = "/ingest/"
MIB = 1_048_576
#: From this size on a body's shape is looked at beside the loop.
_LARGE = 262_144
_RETRY_AFTER = b"5"
_JSON = (b"content-type", b"application/json")
_PROBLEM = (b"content-type", b"application/problem+json")
_UNAUTHORIZED = "The token is missing or wrong. It belongs in Authorization: Bearer, or at the end of the path."
_TYPES = frozenset({"", "text/plain", "application/octet-stream"})
_NOT_KEPT = "The desk cannot keep anything now; send it again."
_NO_GZIP = "The body is not one whole gzip stream, though its header says so."
_MORE_HEADERS = {401: ((b"www-authenticate", b"Bearer"),), 405: ((b"allow", b"POST, PUT"),)}  # see rfc9110 15.5
_PIECE = 65_536  # bytes unpacked at once
_LINGER_BYTES = MIB
_LINGER_SECONDS = 1.0
_LOG = logging.getLogger(__name__)
_NOBODY = hashlib.sha256(b"nobody").digest()


@dataclass(frozen=True, slots=True)
class HttpSettings:
    """How the webhook door behaves."""

    max_size: int = 10 * MIB
    """Bytes of one body, unpacked; the largest payload seen of a monitor is a tenth of it."""
    memory: int = 256 * MIB
    """Bytes of bodies being received, all requests together; beyond it senders are told to come back."""


@dataclass(frozen=True, slots=True)
class Source:
    """Who may post: a configured source, its format and the SHA-256 of its token."""

    name: str
    format: str
    token_hash: bytes
    shape: Callable[[bytes], Shape]


class Problem(Exception):
    """An answer that is no success; see rfc9457."""

    def __init__(self, status: int, code: str, detail: str, *, retry: bool = False) -> None:
        super().__init__(detail)
        self.status, self.code, self.detail, self.retry = status, code, detail, retry

    def body(self) -> bytes:
        """The problem as JSON."""
        said = {"type": "about:blank", "status": self.status, "code": self.code, "detail": self.detail}
        return msgspec.json.encode(said)


class Head(NamedTuple):
    """What the door reads of a request's headers."""

    bearer: bytes | None = None
    type: str = ""
    length: int | None = None
    encoding: bytes = b""
    sender_id: str | None = None
    agent: str = ""


class Door:
    """The ASGI application. ``ready`` says whether the desk can take anything now."""

    def __init__(
        self, sources: Mapping[str, Source], *, keep: Callable[[Receipt], Awaitable[Kept]], now: Callable[[], datetime],
        meter: Meter, ready: Callable[[], bool], others: Asgi, settings: HttpSettings = HttpSettings(),
    ) -> None:  # fmt: skip
        self._sources, self._keep, self._now, self._meter = sources, keep, now, meter
        self._ready, self._others, self._settings = ready, others, settings
        self._room = Room(settings.memory)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or not scope["path"].startswith(PREFIX):
            await self._others(scope, receive, send)
            return
        name = "unknown"
        unread = True
        try:
            source, head = self._let_in(scope)
            name = source.name
            body = await self._read(head, receive)
            unread = False
            answer = await self._take(source, head, body, peer=_peer(scope))
        except ConnectionError:
            self._meter.count("ingest_total", source=name, outcome="aborted")
            return
        except Problem as found:
            problem = found.with_traceback(None)  # else the parts of its body would live until the next collection
        except Exception as error:  # noqa: BLE001 - our fault is a 503, so that the sender tries again
            _LOG.error("http.failed", exc_info=error)
            problem = Problem(503, "unavailable", _NOT_KEPT, retry=True)
        else:
            self._meter.count("ingest_total", source=name, outcome="accepted")
            await _answer(send, 202, answer)
            return
        self._meter.count("ingest_total", source=name, outcome=problem.code)
        await _refuse(send, problem, unread=receive if unread else None)

    def _let_in(self, scope: Scope) -> tuple[Source, Head]:
        """The source that a request may speak for; its body is not read before that."""
        name, _, path_token = scope["path"][len(PREFIX) :].partition("/")
        if scope["method"] not in ("POST", "PUT"):
            raise Problem(405, "method", "A source posts here; use POST.")
        head = read_head(scope["headers"])
        token = path_token.encode("utf-8", "surrogateescape") if path_token else head.bearer
        query = scope["query_string"]
        if query and any(pair.startswith(b"token=") for pair in query.split(b"&")):
            token = None  # a token in the query ends up in logs, so none is taken from there
        source = self._sources.get(name)
        known = _NOBODY if source is None else source.token_hash
        same = hmac.compare_digest(hashlib.sha256(token or b"").digest(), known)
        if source is None or token is None or not same:
            self._meter.count("auth_fail_total", source="unknown" if source is None else name)
            raise Problem(401, "unauthorized", _UNAUTHORIZED)
        return source, head

    async def _read(self, head: Head, receive: Receive) -> bytes:
        """The whole body, unpacked; bounded in bytes, each and all together. The server bounds the time."""
        if not self._ready():
            raise Problem(503, "unavailable", _NOT_KEPT, retry=True)
        _check_type(head.type)
        if head.length is not None and head.length > self._settings.max_size:
            raise self._too_large()
        gunzip = _unpacker(head.encoding)
        message = await receive()
        if gunzip is None and message["type"] == "http.request" and not message["more_body"]:
            body: bytes = message["body"]
            if len(body) > self._settings.max_size:
                raise self._too_large()
            return body
        return await self._read_parts(message, receive, gunzip)

    async def _read_parts(self, message: dict[str, Any], receive: Receive, gunzip: Any) -> bytes:
        parts: list[bytes] = []
        held = 0
        try:
            while True:
                if message["type"] == "http.disconnect":
                    raise ConnectionAbortedError
                for part in (message["body"],) if gunzip is None else _unpacked(gunzip, message["body"]):
                    if not self._room.take(len(part)):
                        self._meter.count("limit_total", kind="http_memory")
                        raise Problem(503, "busy", "Too much is being received now; send it again.", retry=True)
                    held += len(part)
                    parts.append(part)
                    if held > self._settings.max_size:
                        raise self._too_large()
                if not message["more_body"]:
                    break
                message = await receive()
        finally:
            self._room.give(held)
        if gunzip is not None and not gunzip.eof:
            raise Problem(400, "unreadable", _NO_GZIP)
        return b"".join(parts)

    def _too_large(self) -> Problem:
        return Problem(413, "too_large", f"The body is larger than {self._settings.max_size} bytes.")

    async def _take(self, source: Source, head: Head, body: bytes, *, peer: str) -> bytes:
        """What the sender is told once the body is kept."""
        shape = await _shape(source, body)
        envelope = {"type": head.type, "peer": peer, "agent": head.agent}
        key = post_receipt_key(source.name, head.sender_id or _cloud_event_id(head.type, body), body)
        try:
            kept = await self._keep(Receipt(source.name, source.format, self._now(), envelope, body, key))
        except NotKept:
            raise Problem(503, "unavailable", _NOT_KEPT, retry=True) from None
        return _accepted(shape, kept)


def read_head(headers: list[tuple[bytes, bytes]]) -> Head:
    """What the door reads of headers: names come in lower case."""
    found = dict(headers)
    bearer = found.get(b"authorization", b"")
    length = found.get(b"content-length", b"")
    sender_id = found.get(b"idempotency-key") or found.get(b"x-amz-sns-message-id")
    if sender_id is None and b"ce-id" in found:
        sender_id = found.get(b"ce-source", b"") + b"\n" + found[b"ce-id"]
    return Head(
        bearer[7:].strip() if bearer[:7].lower() == b"bearer " else None,
        _media_type(found.get(b"content-type", b"")),
        int(length) if length.isdigit() and len(length) < 16 else None,  # noqa: PLR2004 - digits of a sane length
        found.get(b"content-encoding", b"").strip().lower(),
        None if sender_id is None else sender_id.decode("latin-1"),
        _agent(found.get(b"user-agent", b"")),
    )


@lru_cache(maxsize=256)
def _media_type(value: bytes) -> str:
    """A content type without its parameters; senders have few of them, so each is looked at once."""
    return header_text(value.partition(b";")[0].decode("latin-1").lower(), 100)


@lru_cache(maxsize=256)
def _agent(value: bytes) -> str:
    return header_text(value.decode("latin-1"), 200)


def _check_type(kind: str) -> None:
    """JSON under any of its names, or the plain text that some senders call it."""
    if kind not in _TYPES and not kind.endswith(("+json", "/json")):
        raise Problem(415, "media_type", "The body must be JSON, with Content-Type: application/json.")


def _unpacker(encoding: bytes) -> Any:
    if encoding in (b"", b"identity"):
        return None
    if encoding != b"gzip":
        raise Problem(415, "encoding", "Of content encodings only gzip is taken, once.")
    return zlib.decompressobj(31)


def _unpacked(gunzip: Any, part: bytes) -> Iterator[bytes]:
    """What a part unpacks to, in small pieces, so that whoever counts them can stop a bomb early."""
    while part:
        if gunzip.eof:  # more than one stream, of which others would read another part
            raise Problem(400, "unreadable", _NO_GZIP)
        try:
            piece = gunzip.decompress(part, _PIECE)
        except zlib.error:
            raise Problem(400, "unreadable", _NO_GZIP) from None
        yield piece
        part = gunzip.unconsumed_tail or gunzip.unused_data


async def _shape(source: Source, body: bytes) -> Shape:
    try:
        return await asyncio.to_thread(source.shape, body) if len(body) > _LARGE else source.shape(body)
    except Unreadable as error:
        raise Problem(400, "unreadable", str(error)) from None


class _CloudEvent(msgspec.Struct):
    id: str = ""
    source: str = ""


def _cloud_event_id(kind: str, body: bytes) -> str | None:
    """The id of a structured CloudEvent: unique together with its source."""
    if kind != "application/cloudevents+json":
        return None
    try:
        event = msgspec.json.decode(body, type=_CloudEvent)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None
    return f"{event.source}\n{event.id}" if event.id else None


def _peer(scope: Scope) -> str:
    client = scope.get("client")
    return client[0] if client else ""


def _accepted(shape: Shape, kept: Kept) -> bytes:
    if not shape.refused and shape.key is None:
        return b'{"accepted":%d,"refused":[],"id":%d}' % (shape.accepted, kept.id)
    answer: dict[str, Any] = {
        "accepted": shape.accepted,
        "refused": [{"path": item.path, "why": item.why} for item in shape.refused],
        "id": kept.id,
    }
    if shape.key is not None:
        answer |= {"status": "success", "message": "Event processed", "dedup_key": shape.key}
    return msgspec.json.encode(answer)


async def _answer(send: Send, status: int, body: bytes) -> None:
    headers = [_JSON, (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _refuse(send: Send, problem: Problem, *, unread: Receive | None) -> None:
    """Answer with a problem; where the body is ``unread`` the connection ends, once the client had time to hear it."""
    body = problem.body()
    headers = [_PROBLEM, (b"content-length", b"%d" % len(body)), (b"cache-control", b"no-store")]
    headers += _MORE_HEADERS.get(problem.status, ())
    if problem.retry:
        headers.append((b"retry-after", _RETRY_AFTER))
    if unread is not None:
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": problem.status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": True})
    if unread is not None:
        await _linger(unread)
    await send({"type": "http.response.body", "body": b""})


async def _linger(receive: Receive) -> None:
    """Drop a little more of the body, for a connection closed over unread bytes loses the answer to its reset."""
    left = _LINGER_BYTES
    with suppress(TimeoutError):
        async with asyncio.timeout(_LINGER_SECONDS):
            while left > 0:
                message = await receive()
                if not message.get("more_body"):
                    return
                left -= len(message["body"])
