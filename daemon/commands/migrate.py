"""``triaged migrate``: the schema that this version needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from daemon.commands.output import say
from daemon.commands.registering import DEFAULT_CONFIG, ConfigOption, add_command
from daemon.commands.storing import read_config, refusing_store

if TYPE_CHECKING:
    from daemon.config import Config


def migrate(
    config: ConfigOption = DEFAULT_CONFIG,
    create: Annotated[
        bool, typer.Option("--create", show_default=False, help="Make a database though this desk had one before.")
    ] = False,
) -> None:
    """Bring the database to the schema that this version needs.

    One that was never there is made. When the state folder remembers one that is gone, nothing is made without
    --create: it may be a disk that is not mounted. Beside an SQLite file with an older schema a backup of it is kept.
    The daemon runs this by itself where it must; while it works on an SQLite file, nothing is done there.
    """
    with refusing_store():
        _migrate(read_config(config), create=create)


def _migrate(config: Config, *, create: bool) -> None:
    from daemon.state import StateFolder, alone_on
    from store.backup import back_up_older
    from store.engine import open_store, sqlite_path
    from store.errors import Missing
    from store.keys import load_instance
    from store.migrate import migrate as to_head
    from store.schema import SCHEMA

    state = StateFolder(config.state)
    known = state.instance
    try:
        with alone_on(sqlite_path(config.store)):
            kept = back_up_older(config.store)
            if kept is not None:
                say(f"The database as it was is kept at {kept.path}.")
            to_head(config.store, create=create or known is None)
    except Missing as error:
        raise Missing(
            f"There is no database, but this desk had one (instance {known}). Mount its disk, or restore a backup; "
            "`triaged migrate --create` begins with an empty one."
        ) from error
    store = open_store(config.store)
    try:
        with store.reading() as connection:
            instance = load_instance(connection)
    finally:
        store.close()
    state.remember(instance.id)
    say(f"The database has schema {SCHEMA}; instance {instance.id}.")


def register(app: typer.Typer) -> None:
    """Make it a command."""
    add_command(app, "migrate", migrate, examples=["triaged migrate -c /etc/triaged/triaged.yml"])
