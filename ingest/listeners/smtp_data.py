"""The bytes between DATA and its end, taken as they come: no line is ever held together in memory twice.

The message ends at CRLF.CRLF and at nothing else (see rfc5321 4.1.1.4): bare line ends are content, so no other end of
data can be smuggled in. The library's own reader keeps an endless line whole and refuses long ones; this one has no
notion of lines, only of a size.
"""

from __future__ import annotations

_END = b"\r\n.\r\n"
_SLACK = 1_048_576  # bytes read and dropped beyond the limit, so that a polite client still hears 552 after its dot


class DataReader:
    r"""Collects one message of at most ``limit`` bytes.

    >>> reader = DataReader(100)
    >>> reader.feed(b"Subject: x\r\n\r\n..dot\r\n.\r"), reader.feed(b"\nQUIT\r\n")
    (None, b'QUIT\r\n')
    >>> reader.content()
    b'Subject: x\r\n\r\n.dot\r\n'
    """

    def __init__(self, limit: int) -> None:
        self.size = 0  # bytes seen, the end included
        self.ended = False
        self.dropped = False  # the bytes are not kept: too many of them, or no room
        self._limit = limit
        self._bytes = bytearray(b"\r\n")  # that of the DATA command: a dot may follow at once
        self._tail = b"\r\n"

    @property
    def held(self) -> int:
        """Bytes in memory."""
        return len(self._bytes)

    @property
    def too_big(self) -> bool:
        """Whether the message is over the limit; its bytes are dropped then."""
        return self.size > self._limit + len(_END)

    @property
    def hopeless(self) -> bool:
        """Whether so much came beyond the limit that waiting for the end makes no sense."""
        return self.size > self._limit + _SLACK

    def feed(self, data: bytes) -> bytes | None:
        """Take more bytes. What follows the end of the message once it has ended, None before."""
        window = self._tail + data
        at = window.find(_END)
        if at >= 0:
            self.ended = True
            used = at + len(_END) - len(self._tail)
            rest, data = data[used:], data[:used]
        self._tail = window[-len(_END) + 1 :]
        self.size += len(data)
        if self.too_big:
            self.drop()
        if not self.dropped:
            self._bytes += data
        return rest if self.ended else None

    def drop(self) -> None:
        """Forget the bytes that came and those to come: the message will not be kept."""
        self.dropped = True
        self._bytes = bytearray()

    def content(self) -> bytes:
        """The message as its sender wrote it, the dots that the protocol put before dots taken out again."""
        raw, self._bytes = self._bytes, bytearray()
        dotted = raw.find(b"\r\n.") < len(raw) - len(_END)
        if dotted:
            return bytes(raw[:-3].replace(b"\r\n.", b"\r\n")[2:])
        return bytes(memoryview(raw)[2:-3])


def has_bare_line_ends(content: bytes) -> bool:
    r"""Whether a CR or LF stands alone, as in an attempt to smuggle.

    >>> has_bare_line_ends(b"a\r\nb"), has_bare_line_ends(b"a\nb")
    (False, True)
    """
    pairs = content.count(b"\r\n")
    return content.count(b"\n") != pairs or content.count(b"\r") != pairs
