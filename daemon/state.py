"""The state folder: who runs here, and whether a database ever existed."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class AlreadyRuns(Exception):
    """Another daemon works on this state folder, or on this database."""

    code = "daemon.already_runs"
    permanent = False


class StateFolder:
    """The setting ``state``: a lock with the daemon's process id, and the marker of its database."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._pid, self._marker = path / "daemon.pid", path / "instance"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Be the one daemon of this folder. Raises `AlreadyRuns` with the other's process id (fault 99)."""
        self.path.mkdir(parents=True, exist_ok=True)
        with _alone(self._pid, of=self.path):
            yield

    def pid(self) -> int | None:
        """The process id of the daemon that holds the lock, or held it last; None where none ever did."""
        return _pid_in(self._pid)

    def running_pid(self) -> int | None:
        """The process id of the daemon that runs now."""
        try:
            fd = os.open(self._pid, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return self.pid()
        else:
            return None
        finally:
            os.close(fd)

    @property
    def instance(self) -> str | None:
        """The id of the database that this folder knew; while it is set, a missing one is not quietly made anew."""
        try:
            return self._marker.read_text().strip() or None
        except OSError:
            return None

    def remember(self, instance: str) -> None:
        """Note that a database exists."""
        if self.instance != instance:
            self.path.mkdir(parents=True, exist_ok=True)
            self._marker.write_text(f"{instance}\n")


@contextmanager
def alone_on(database: Path | None) -> Iterator[None]:
    """Be the one that works on a SQLite file, whatever the state folder: a daemon, or a command that must be alone.

    Of a server, which many share, None; where there is no folder yet, nobody works. Raises `AlreadyRuns`.
    """
    if database is None or not database.parent.is_dir():
        yield
        return
    with _alone(database.with_name(f"{database.name}.pid"), of=database):
        yield


@contextmanager
def _alone(path: Path, *, of: Path) -> Iterator[None]:
    """Hold the lock at ``path``, with our process id in it."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            sentence = f"{of} is locked by pid {_pid_in(path)}: one daemon at a time works here; stop that one first."
            raise AlreadyRuns(sentence) from None
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(fd)


def _pid_in(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None
