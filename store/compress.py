"""Raw bytes as they are stored: a Zstandard frame each; what 0.1.0 kept with zlib is read as well.

Level 1 makes a webhook's body as small as zlib does, in a quarter of the time (docs/performance.md, "Tried").
"""

from __future__ import annotations

import threading
import zlib

from zstandard import MAGIC_NUMBER, ZstdCompressor, ZstdDecompressor, ZstdError

_LEVEL = 1
_ZSTANDARD = MAGIC_NUMBER.to_bytes(4, "little")


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
    """The body that `compress` was given. Raises ValueError where the bytes are damaged."""
    try:
        return _contexts.decompress(stored) if stored.startswith(_ZSTANDARD) else zlib.decompress(stored)
    except (ZstdError, zlib.error) as error:
        raise ValueError(str(error)) from error
