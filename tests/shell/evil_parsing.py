"""What a mail may do to the process that reads it, for `test_parser_process`: each body says what is to happen."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from incidents.signal import Mail


def parse(body: bytes, envelope: Mapping[str, Any], *, trust: str | None = None) -> Mail:
    """Do as the body says, or be a mail."""
    if body == b"hang":
        while True:
            time.sleep(1)
    if body == b"die":
        os._exit(1)
    if body == b"die once" and not Path(str(envelope["marker"])).exists():
        Path(str(envelope["marker"])).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    if body == b"raise":
        raise RuntimeError("with a secret of ours")
    if body == b"eat":
        held = [bytes(1024 * 1024) for _ in range(100_000)]
        return Mail(None, (), str(len(held)))
    return Mail(None, (), body.decode(), text=trust or "", hops=os.getpid())
