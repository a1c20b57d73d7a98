"""What `triaged check` looks at beside configuration and policy: the store, and who owns the rooms of this program."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from importlib.metadata import packages_distributions
from importlib.util import find_spec
from pathlib import Path

from sqlalchemy import text

from daemon.config import Config
from daemon.state import StateFolder
from rules.problems import Problem, Problems, Where
from store.engine import Store, open_store, sqlite_path
from store.errors import BadUrl, Missing, SchemaMismatch, StoreError
from store.filesystem import network_file_system

ROOMS = ("daemon", "console", "ingest", "notifiers", "store", "desk", "triage", "rules", "incidents", "kit")
_OURS = "triaged"
_MOUNTS = Path("/proc/mounts")


def check_store(config: Config, file: Path, problems: Problems) -> None:
    """Whether the database keeps what it is given (guarantee G1); one that does not exist yet is no problem."""
    where = Where(str(file), config.where.line or 1, "store")
    try:
        misplaced = find_misplaced(config, file)
        if misplaced is not None:
            problems.errors.append(misplaced)
            return
        store = open_store(config.store)
    except Missing:
        _check_missing(config, where, problems)
    except SchemaMismatch as error:
        (problems.warn if error.found < error.known else problems.add)(where, str(error))
    except StoreError as error:
        problems.add(where, str(error))
    else:
        try:
            _check_flushing(store, where, problems)
        finally:
            store.close()


def find_misplaced(config: Config, file: Path) -> Problem | None:
    """What is wrong with where an SQLite file lies (fault 94); what is no URL is told when it is opened."""
    path = None
    with suppress(BadUrl):
        path = sqlite_path(config.store)
    if path is None or not _MOUNTS.exists():
        return None
    kind = network_file_system(path.resolve(), _MOUNTS.read_text("utf-8", "replace"))
    if kind is None:
        return None
    said = f"{path} is on a network file system ({kind}), expected a local disk, or PostgreSQL"
    return Problem(Where(str(file), config.where.line or 1, "store"), said)


def _check_missing(config: Config, where: Where, problems: Problems) -> None:
    known = StateFolder(config.state).instance
    if known is not None:
        problems.add(
            where, f"there is no database, but {config.state} remembers one (instance {known}), "
            "expected that one, or its backup restored",
        )  # fmt: skip


def _check_flushing(store: Store, where: Where, problems: Problems) -> None:
    """PostgreSQL can be told not to flush; SQLite's settings are read back at every opening."""
    if store.kind != "postgresql":
        return
    with store.reading() as connection:
        fsync = connection.execute(text("SHOW fsync")).scalar()
        standby = connection.execute(text("SHOW synchronous_standby_names")).scalar()
    if fsync != "on":
        problems.warn(where, "PostgreSQL runs with fsync=off, so a power failure may lose what was accepted")
    if not standby:
        problems.warn(where, "no synchronous_standby_names, so the loss of the database's only disk loses everything")


def check_rooms(
    problems: Problems, *, owners: Mapping[str, Sequence[str]] | None = None, home: Path | None = None
) -> None:
    """Whether another package of the same name overwrote one of ours; see docs/operating, Installing."""
    owners = packages_distributions() if owners is None else owners
    home = Path(__file__).parent.parent if home is None else home
    for room in ROOMS:
        for stranger in _strangers(room, owners, home):
            problems.add(
                Where(str(home / room), 1),
                f"this folder of triaged also belongs to {stranger}, expected an environment with triaged alone",
            )


def _strangers(room: str, owners: Mapping[str, Sequence[str]], home: Path) -> Iterator[str]:
    yield from sorted(set(owners.get(room, ())) - {_OURS})
    spec = find_spec(room)
    if spec is None or spec.origin is None or Path(spec.origin).parent != home / room:
        yield str(spec.origin if spec is not None else "nobody")


def summary(problems: Sequence[Problem], warnings: Sequence[Problem]) -> str:
    """How many of each, in words."""
    return f"{len(problems)} {_many('problem', len(problems))}, {len(warnings)} {_many('warning', len(warnings))}"


def _many(word: str, count: int) -> str:
    return word if count == 1 else f"{word}s"
