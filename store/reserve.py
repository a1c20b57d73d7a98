"""Room on the disk for the outbox's marks: a file beside the SQLite database that is given up when the disk is full.

A mail that was handed over and is not marked goes out again. So a mark that finds the disk full empties this file, and
while it is empty the one way to write lets nothing through but marks: doors go on saying no, and nothing more is
handed over (fault 92). Whoever writes next makes it anew first, once there is room.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from store.errors import StoreFull, wrap_file

#: The marks of a round are some hundred KiB, and few rounds are under way at once.
SIZE = 16 * 1_048_576
#: What must be free before it is made, so that work does not begin again in the very room that was given up.
ROOM = 2 * SIZE


def reserve_path(database: Path) -> Path:
    """Where the reserve of the database at ``database`` lies."""
    return database.with_name(f"{database.name}.reserve")


def stands(path: Path) -> bool:
    """Whether the reserve is whole."""
    with suppress(FileNotFoundError):
        return path.stat().st_size == SIZE
    return False


def given_up(path: Path) -> bool:
    """Whether it was given up, and only marks may take room."""
    with suppress(FileNotFoundError):
        return path.stat().st_size != SIZE
    return False


def make_reserve(path: Path) -> None:
    """Have the reserve stand; for who holds the writers' lock. Raises `StoreFull`, `StoreUnavailable`."""
    if stands(path):
        return
    new = path.with_name(f"{path.name}.new")
    try:
        disk = os.statvfs(path.parent)
        if disk.f_bavail * disk.f_frsize < ROOM:
            raise StoreFull
        try:
            with new.open("wb") as file:
                os.posix_fallocate(file.fileno(), 0, SIZE)
            new.chmod(0o600)
            new.replace(path)
        finally:
            new.unlink(missing_ok=True)
    except OSError as error:
        raise wrap_file(error) from error


def require_reserve(path: Path) -> None:
    """Go on where the reserve stands or was never made; one that was given up is made anew. Raises `StoreFull`."""
    if given_up(path):
        make_reserve(path)


def give_up_reserve(path: Path) -> None:
    """Give its room back to the disk; its emptiness keeps all writers out but those of marks."""
    with suppress(FileNotFoundError):
        os.truncate(path, 0)
