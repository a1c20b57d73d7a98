"""Mails are read in a process of its own, which may hang, crash or eat memory: the mail is to blame, and it alone.

Fault 24. A worker owns one such process and gives it many mails a call.
"""

from __future__ import annotations

import os
import select
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import msgspec

from incidents.signal import Mail
from ingest.parse_mails import ANSWER, BATCH, MAIL

MEMORY = 256 * 1024 * 1024
DEADLINE = 5.0
_START_SECONDS = 30.0
_STARTS = 3
_CHUNK = 1024 * 1024
#: How often a mail may end the process while it is read alone.
_TRIES = 2

Unread = tuple[bytes, Mapping[str, object]]


@dataclass(frozen=True, slots=True)
class ParseFailed:
    """A mail that could not be read, and why, in one line."""

    why: str


class _Died(Exception):
    """The process is gone, or stood still and was ended."""

    def __init__(self, why: str, *, hung: bool = False) -> None:
        super().__init__(why)
        self.why, self.hung = why, hung


class MailParser:
    """Reads mails in a process that is started when it is needed and again when it dies.

    ``trust`` is given to the format. ``deadline`` is in seconds: how long the process may work without taking or
    answering anything. ``memory`` is in bytes. ``parse`` names the function, as ``module:function``.
    """

    def __init__(
        self,
        *,
        trust: str | None = None,
        deadline: float = DEADLINE,
        memory: int = MEMORY,
        parse: str = "ingest.formats.mail:parse",
    ) -> None:
        self._arguments = [parse, str(memory), str(deadline), *([trust] if trust else [])]
        self._deadline = deadline
        self._process: subprocess.Popen[bytes] | None = None
        self._decode = msgspec.msgpack.Decoder(Mail | str).decode
        self.restarts = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def parse(self, mails: Sequence[Unread]) -> list[Mail | ParseFailed]:
        """One mail or failure for each, in order. When the process dies, what it had not answered is read alone.

        Raises OSError when the process can't be started.
        """
        answers: list[Mail | ParseFailed] = []
        try:
            self._ask(mails, answers)
        except _Died:
            while len(answers) < len(mails):
                answers.append(self._parse_alone(mails[len(answers)]))
        return answers

    def _parse_alone(self, mail: Unread) -> Mail | ParseFailed:
        """One mail; it fails when it hangs, or ends the process each time it is tried: anybody may have killed that."""
        why = ""
        for _ in range(_TRIES):
            answers: list[Mail | ParseFailed] = []
            try:
                self._ask([mail], answers)
            except _Died as died:
                why = died.why
                if died.hung:
                    break
            else:
                return answers[0]
        return ParseFailed(why)

    def _ask(self, mails: Sequence[Unread], answers: list[Mail | ParseFailed]) -> None:
        """Send mails and add their answers as they come. Raises `_Died`; what had been answered stays."""
        if not mails:
            return
        if self._process is None:
            self._process = self._start()
        try:
            self._exchange(self._process, _Outgoing(mails), answers, len(mails))
        except _Died:
            self._end(self._process)
            self.restarts += 1
            raise

    def _exchange(
        self, process: subprocess.Popen[bytes], outgoing: _Outgoing, answers: list[Mail | ParseFailed], count: int
    ) -> None:
        """Write and read, whichever is possible: neither side ever waits for the other."""
        assert process.stdin is not None
        assert process.stdout is not None
        sink, source = process.stdin.fileno(), process.stdout.fileno()
        incoming = bytearray()
        missing = count
        while missing:
            readable, writable, _ = select.select([source], [] if outgoing.empty else [sink], [], self._deadline)
            if not readable and not writable:
                raise _Died(f"reading the mail took longer than {self._deadline:g} seconds", hung=True)
            if writable:
                self._write(sink, outgoing)
            if readable:
                said = os.read(source, _CHUNK)
                if not said:
                    raise _Died("the process that read the mail ended, or needed more memory than it may have")
                incoming += said
                missing -= self._take_answers(incoming, answers)

    @staticmethod
    def _write(sink: int, outgoing: _Outgoing) -> None:
        try:
            outgoing.sent(os.write(sink, outgoing.next()))
        except BlockingIOError:
            pass
        except BrokenPipeError:
            outgoing.stop()  # what it has answered is still to be read

    def _take_answers(self, incoming: bytearray, answers: list[Mail | ParseFailed]) -> int:
        """Take the whole answers from what has come; how many there were."""
        start = taken = 0
        while len(incoming) - start >= ANSWER.size:
            end = start + ANSWER.size + ANSWER.unpack_from(incoming, start)[0]
            if end > len(incoming):
                break
            answer = self._decode(bytes(memoryview(incoming)[start + ANSWER.size : end]))
            answers.append(ParseFailed(answer) if isinstance(answer, str) else answer)
            start, taken = end, taken + 1
        del incoming[:start]
        return taken

    # ------------------------------------------------------------------ the process

    def _start(self) -> subprocess.Popen[bytes]:
        """A process that is ready to read mails; one that was killed on its way there is followed by another."""
        for _ in range(_STARTS):
            process = self._launch()
            assert process.stdin is not None
            assert process.stdout is not None
            ready = select.select([process.stdout], [], [], _START_SECONDS)[0]
            if ready and os.read(process.stdout.fileno(), 1):
                os.set_blocking(process.stdin.fileno(), False)
                return process
            self._end(process)
        raise OSError("The process that reads mails did not start.")

    def _launch(self) -> subprocess.Popen[bytes]:
        """It imports from where we do."""
        return subprocess.Popen(
            [sys.executable, "-m", "ingest.parse_mails", *self._arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={"PYTHONPATH": os.pathsep.join(path or "." for path in sys.path), "LC_ALL": "C.UTF-8"},
            bufsize=0,
        )

    def _end(self, process: subprocess.Popen[bytes]) -> None:
        process.kill()
        with process:  # waits, and closes the pipes
            self._process = None

    def close(self) -> None:
        """End the process; it is idle, so it goes when its input ends."""
        if self._process is not None:
            self._end(self._process)


class _Outgoing:
    """The bytes of a batch, given out piece by piece without a copy of the whole."""

    def __init__(self, mails: Sequence[Unread]) -> None:
        encode = msgspec.msgpack.Encoder().encode
        pieces: list[bytes] = [BATCH.pack(len(mails))]
        for body, envelope in mails:
            packed = encode(envelope)
            pieces += [MAIL.pack(len(packed), len(body)) + packed, body]
        self._pieces = _grouped(pieces)
        self._place = 0

    @property
    def empty(self) -> bool:
        """Whether everything is sent."""
        return not self._pieces

    def next(self) -> memoryview:
        """What is to be sent now."""
        return self._pieces[-1][self._place : self._place + _CHUNK]

    def sent(self, size: int) -> None:
        """So many bytes are gone."""
        self._place += size
        if self._place >= len(self._pieces[-1]):
            self._pieces.pop()
            self._place = 0

    def stop(self) -> None:
        """Nothing more is to be sent."""
        self._pieces = []


def _grouped(pieces: list[bytes]) -> list[memoryview]:
    """The pieces in reverse order, small neighbours joined: one write for many small mails."""
    grouped: list[memoryview] = []
    small: list[bytes] = []
    for piece in pieces:
        if len(piece) > _CHUNK:
            grouped += [memoryview(b"".join(small)), memoryview(piece)]
            small = []
        else:
            small.append(piece)
    grouped.append(memoryview(b"".join(small)))
    return [piece for piece in reversed(grouped) if len(piece)]
