"""``triaged copy``: the whole store into another database."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from daemon.commands.output import say, say_json
from daemon.commands.progress import progress
from daemon.commands.refusals import Refused
from daemon.commands.registering import DEFAULT_CONFIG, ConfigOption, add_command
from daemon.commands.storing import JsonOption, check_chain, read_config, refusing_store

if TYPE_CHECKING:
    from pathlib import Path

    from daemon.config import Config
    from store.copying import Copied
    from store.engine import Store


def copy(
    to: Annotated[
        str, typer.Option("--to", metavar="URL", help="The empty database, as the setting `store` would name it.")
    ],
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Copy the whole store into an empty database, such as from SQLite to PostgreSQL.

    It is the same desk there, with its ids, keys and chain; the original is not changed. No daemon may run, for what
    it takes meanwhile would stay behind.
    """
    with refusing_store():
        copied, entries = _copy(read_config(config), to)
    if as_json:
        say_json({"receipts": copied.receipts, "incidents": copied.records, "entries": entries, "rows": copied.rows})
        return
    say(
        f"Copied {copied.receipts} receipts, {copied.records} incidents and {entries} timeline entries, "
        f"{copied.rows} rows in all; the chain holds."
    )
    say("Name the new database in the setting `store`, then start the daemon.")


def _copy(config: Config, to: str) -> tuple[Copied, int]:
    from daemon.state import StateFolder, alone_on
    from store.copying import copy_store
    from store.engine import open_store, sqlite_path

    with StateFolder(config.state).locked(), alone_on(sqlite_path(config.store)), alone_on(_other(config, to)):
        source = open_store(config.store)
        try:
            _refuse_while_alive(source)
            with progress("Copy") as tell:
                copied = copy_store(source, to, tell)
        finally:
            source.close()
    target = open_store(to)
    try:
        return copied, check_chain(target)
    finally:
        target.close()


def _other(config: Config, to: str) -> Path | None:
    """The file to copy to, where it is one and another."""
    from store.engine import sqlite_path

    path = sqlite_path(to)
    return None if path == sqlite_path(config.store) else path


def _refuse_while_alive(source: Store) -> None:
    """Refuse while a daemon on another host works on the database; one on this host has the state folder locked."""
    import socket

    from daemon.clock import utc_now
    from store.nodes import alive_hosts

    with source.reading() as connection:
        alive = alive_hosts(connection, utc_now()) - {socket.gethostname()}
    if alive:
        named = ", ".join(sorted(alive))
        raise Refused(f"A daemon on {named} works on this database, or did a minute ago: stop it, and wait as long")


def register(app: typer.Typer) -> None:
    """Make it a command."""
    add_command(
        app, "copy", copy, examples=["triaged copy --to postgresql://triaged@db/triaged -c /etc/triaged/triaged.yml"]
    )
