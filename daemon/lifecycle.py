"""From a configuration file to a daemon that stops when asked: checks first, then the schema, then the doors."""

from __future__ import annotations

import asyncio
import faulthandler
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import uvloop

from daemon.activation import BadSockets, take_sockets
from daemon.app import App
from daemon.checks import find_misplaced
from daemon.config import Config, check_together, load_config
from daemon.logs import get_log, set_up_logs
from daemon.notify import Manager
from daemon.policy import read_policy
from daemon.roles import ALL, Roles
from daemon.state import AlreadyRuns, StateFolder, alone_on
from rules.policy import Policy
from rules.problems import Problem
from store.engine import Store, open_store, sqlite_path
from store.errors import Missing, SchemaMismatch, StoreCorrupt, StoreError
from store.keys import load_instance
from store.upkeep import check_pages

#: Exit statuses, as sysexits.h names them, and systemd's unit expects them.
OK, DATA, TRY_AGAIN, CONFIGURATION = 0, 74, 75, 78

#: How long the pages of an SQLite file are looked at before the doors open.
LOOK_AT_PAGES = timedelta(seconds=2)
_RECOVERY = """The database is damaged. The daemon changes nothing in it any more, and is not started again.
1. Keep it as it is: cp -a {folder} {folder}.damaged
2. Look at the disk: journalctl -k
3. Move {path} and the files of its name away, and restore the last backup: triaged restore FILE
4. What was accepted since then is in the damaged file only: sqlite3 {path} .recover
docs/operating/troubles.md tells more, at "A damaged database"."""

log = get_log("daemon")


def serve(path: Path, *, say: Callable[[str], None], roles: Roles = ALL) -> int:
    """Run the daemon by the configuration at ``path`` until it is asked to stop; the exit status.

    ``say`` tells the operator why it does not start; ``roles`` are the parts that run here.
    """
    manager = Manager.found(os.environ)
    read = read_all(path)
    if read.config is not None:
        read.problems += _find_out_of_place(read.config, path, roles)
    if read.problems or read.config is None or read.policy is None:
        for problem in read.problems:
            say(str(problem))
        return CONFIGURATION
    set_up_logs()
    _tell_stacks()
    state = StateFolder(read.config.state)
    try:
        sockets = take_sockets(os.environ)
        with state.locked():
            manager.status("Opens the store")
            store = _prepare(read.config, path, say)
            if isinstance(store, int):
                return store
            with alone_on(store.path):
                if not check_pages(store, within=LOOK_AT_PAGES):
                    log.info("store.checked_in_part", seconds=LOOK_AT_PAGES.total_seconds())
                with store.reading() as connection:
                    state.remember(load_instance(connection).id)
                app = App(
                    read.config, path=path, policy=read.policy, store=store, manager=manager, sockets=sockets,
                    roles=roles,
                )  # fmt: skip
                return uvloop.run(_until_stopped(app))
    except AlreadyRuns as error:
        say(str(error))
        return TRY_AGAIN
    except StoreError as error:
        return _refused(error, read.config, say)
    except (OSError, BadSockets) as error:  # an address that is in use, a folder that can't be written
        say(f"The daemon cannot start: {error}")
        return CONFIGURATION


def _find_out_of_place(config: Config, path: Path, roles: Roles) -> Iterator[Problem]:
    """What can't be, with the store that the configuration names."""
    misplaced = find_misplaced(config, path)
    if misplaced is not None:
        yield misplaced
    if roles != ALL and config.store.startswith("sqlite"):
        said = "on SQLite one daemon does everything, expected no --role, or a PostgreSQL database that nodes share"
        yield Problem(config.where, said)


def _tell_stacks() -> None:
    """At an abort, which is how the watchdog ends a daemon that hangs, show where every thread stands."""
    if sys.stderr is not None:
        faulthandler.enable(sys.stderr)


def _refused(error: StoreError, config: Config, say: Callable[[str], None]) -> int:
    """Say why the store can't be worked with; the exit status."""
    if isinstance(error, StoreCorrupt):
        path = sqlite_path(config.store)
        say(_RECOVERY.format(path=path, folder=path.parent) if path else str(error))
        return DATA
    say(str(error))
    return CONFIGURATION if error.permanent else TRY_AGAIN


class Read:
    """Configuration and policy, or all that is wrong with them."""

    def __init__(self, config: Config | None, policy: Policy | None, *problems: Problem) -> None:
        self.config, self.policy, self.problems = config, policy, list(problems)
        self.warnings: list[Problem] = []


def read_all(path: Path) -> Read:
    """Read the configuration, and the policy where the configuration says where it is."""
    loaded = load_config(path)
    if loaded.config is None:
        return Read(None, None, *loaded.problems)
    desk = loaded.config.desk
    policy = read_policy(loaded.config.policy, framework=desk.framework, zone=desk.zone)
    if policy.policy is None:
        return Read(loaded.config, None, *policy.problems)
    read = Read(loaded.config, policy.policy, *check_together(loaded.config, policy.policy))
    read.warnings = [*loaded.warnings, *policy.warnings]
    return read


def _prepare(config: Config, path: Path, say: Callable[[str], None]) -> Store | int:
    """The open store, its schema made new where it must; or the exit status, once it is said why."""
    try:
        try:
            return open_store(config.store)
        except (Missing, SchemaMismatch) as error:
            if isinstance(error, SchemaMismatch) and error.found > error.known:
                raise
        migrate = [sys.executable, "-m", "daemon.commands.triaged", "migrate", "-c", str(path)]
        status = subprocess.run(migrate, check=False).returncode
        return open_store(config.store) if status == 0 else status
    except StoreError as error:
        return _refused(error, config, say)


async def _until_stopped(app: App) -> int:
    """Start, and stop at SIGTERM or SIGINT; reload the policy at SIGHUP. Raises `StoreCorrupt`."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, app.over.set)
    reloading: set[asyncio.Task[bool]] = set()

    def reload() -> None:
        task = asyncio.create_task(app.reload())
        reloading.add(task)
        task.add_done_callback(reloading.discard)

    loop.add_signal_handler(signal.SIGHUP, reload)
    await app.start()
    await app.over.wait()
    if app.damage is not None:
        app.abandon()
        raise app.damage
    await app.stop()
    return OK
