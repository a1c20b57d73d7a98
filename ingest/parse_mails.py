"""The process that reads mails: whatever one does to it, only this process dies (fault 24).

It reads mails from its standard input and writes one answer each, in order, to its standard output. When the input
ends it ends, and an alarm ends it when nobody does.
"""

from __future__ import annotations

import gc
import importlib
import math
import os
import resource
import signal
import struct
import sys
import time
from collections.abc import Callable
from typing import IO, Any

import msgspec

from incidents.signal import Mail

#: Before a batch: how many mails follow.
BATCH = struct.Struct("<I")
#: Before a mail: the sizes of its envelope and of its body.
MAIL = struct.Struct("<IQ")
#: Before an answer: its size.
ANSWER = struct.Struct("<I")
READY = b"+"

_FLUSH_SECONDS = 0.05
_GRACE_SECONDS = 5

Parse = Callable[..., Mail]


def serve(incoming: IO[bytes], outgoing: IO[bytes], parse: Parse, *, trust: str | None, deadline: float) -> None:
    """Answer batches until the input ends."""
    encode, decode = msgspec.msgpack.Encoder().encode, msgspec.msgpack.Decoder().decode
    alarm = math.ceil(deadline) + _GRACE_SECONDS
    outgoing.write(READY)
    outgoing.flush()
    while len(head := incoming.read(BATCH.size)) == BATCH.size:
        flushed_at = time.monotonic()
        for _ in range(BATCH.unpack(head)[0]):
            envelope_size, size = MAIL.unpack(incoming.read(MAIL.size))
            envelope = decode(incoming.read(envelope_size))
            signal.alarm(alarm)
            answer = encode(_answer(parse, incoming.read(size), envelope, trust))
            signal.alarm(0)
            outgoing.write(ANSWER.pack(len(answer)) + answer)
            if time.monotonic() - flushed_at > _FLUSH_SECONDS:
                outgoing.flush()
                flushed_at = time.monotonic()
        outgoing.flush()


def _answer(parse: Parse, body: bytes, envelope: Any, trust: str | None) -> Mail | str:
    """The mail, or in one line why there is none."""
    try:
        return parse(body, envelope, trust=trust)
    except MemoryError:
        os._exit(1)
    except Exception as error:  # noqa: BLE001 - told to the other side, which keeps the mail
        return f"reading the mail failed: {type(error).__name__}"


def load_parse(name: str) -> Parse:
    """The function that is named ``module:function``."""
    module, _, function = name.partition(":")
    found: Parse = getattr(importlib.import_module(module), function)
    return found


def main() -> int:
    """Entry point: the function's name, the limit of memory in bytes, the deadline in seconds, and who is trusted."""
    name, memory, deadline, *trust = sys.argv[1:]
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # our parent lets us finish, then closes our input
    parse = load_parse(name)
    resource.setrlimit(resource.RLIMIT_DATA, (int(memory), int(memory)))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    gc.freeze()
    with os.fdopen(0, "rb", 65_536) as incoming, os.fdopen(1, "wb", 65_536) as outgoing:
        serve(incoming, outgoing, parse, trust=trust[0] if trust else None, deadline=float(deadline))
    return 0


if __name__ == "__main__":
    sys.exit(main())
