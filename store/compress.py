"""Raw bytes as they are stored: bodies of receipts and mails to send, a Zstandard frame each.

Level 1 makes a webhook's body as small as zlib does, in a quarter of the time (docs/performance.md, "Tried").
"""

from __future__ import annotations

import threading
import zlib

from zstandard import MAGIC_NUMBER, ZstdCompressor, ZstdDecompressor, ZstdError

_LEVEL = 1
_ZSTANDARD = MAGIC_NUMBER.to_bytes(4, "little")
_ZLIB = b"\x78\x01"  # at level 1; no mail begins so


class _Contexts(threading.local):
    """Made once a thread, for making one costs more than compressing a webhook, and no two threads may share it."""

    def __init__(self) -> None:
        self.compress = ZstdCompressor(level=_LEVEL).compress
        self.decompress = ZstdDecompressor().decompress


_contexts = _Contexts()


def compress(body: bytes | memoryview) -> bytes:
    """The bytes to store for ``body``."""
    return _contexts.compress(body)


def decompress(stored: bytes) -> bytes:
    """The body that `compress` was given. Raises ValueError where the bytes are damaged.

    The first 0.1.0 kept bodies with zlib and mails as they were; both are read still.
    """
    try:
        if stored.startswith(_ZSTANDARD):
            return _contexts.decompress(stored)
        return zlib.decompress(stored) if stored.startswith(_ZLIB) else stored
    except (ZstdError, zlib.error) as error:
        raise ValueError(str(error)) from error
