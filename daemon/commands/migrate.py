"""``triaged migrate``: the schema that this version needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from daemon.commands.output import say
from daemon.commands.refusals import CONFIGURATION, complain, complain_all
from daemon.commands.registering import CORRUPT, DEFAULT_CONFIG, TRY_AGAIN, ConfigOption, add_command

if TYPE_CHECKING:
    from daemon.config import Config
    from store.errors import StoreError


def migrate(
    config: ConfigOption = DEFAULT_CONFIG,
    create: Annotated[
        bool, typer.Option("--create", show_default=False, help="Make a database though this desk had one before.")
    ] = False,
) -> None:
    """Bring the database to the schema that this version needs.

    One that was never there is made. When the state folder remembers one that is gone, nothing is made without
    --create: it may be a disk that is not mounted. The daemon runs this by itself where it must.
    """
    from daemon.config import load_config
    from store.errors import StoreError

    loaded = load_config(config)
    if loaded.config is None:
        complain_all(loaded.problems)
        raise typer.Exit(CONFIGURATION)
    try:
        _migrate(loaded.config, create=create)
    except StoreError as error:
        complain(str(error))
        raise typer.Exit(_status(error)) from error


def _migrate(config: Config, *, create: bool) -> None:
    from daemon.state import StateFolder
    from store.engine import open_store
    from store.errors import Missing
    from store.keys import load_instance
    from store.migrate import migrate as to_head
    from store.schema import SCHEMA

    state = StateFolder(config.state)
    known = state.instance
    try:
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


def _status(error: StoreError) -> int:
    from store.errors import StoreCorrupt

    if isinstance(error, StoreCorrupt):
        return CORRUPT
    return CONFIGURATION if error.permanent else TRY_AGAIN


def register(app: typer.Typer) -> None:
    """Make it a command."""
    add_command(app, "migrate", migrate, examples=["triaged migrate -c /etc/triaged/triaged.yml"])
