"""``triaged restore``: a store from a backup."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from daemon.commands.output import say, say_json
from daemon.commands.progress import progress
from daemon.commands.registering import DEFAULT_CONFIG, ConfigOption, add_command
from daemon.commands.storing import JsonOption, check_chain, read_config, refusing_store

if TYPE_CHECKING:
    from daemon.config import Config
    from store.copying import Copied


def restore(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What `triaged backup` wrote; it is not changed.")],
    config: ConfigOption = DEFAULT_CONFIG,
    as_copy: Annotated[
        bool,
        typer.Option(
            "--as-copy", show_default=False,
            help="Make another desk of it, with an id and keys of its own: links and replies of the original's mails "
            "are refused, and what the original has still to tell is left to it.",
        ),
    ] = False,
    as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Fill the empty store of the configuration, of either kind, from a backup.

    A store with anything in it is refused. Deliveries are held until `triagectl outbox release`, for nobody knows what
    was told since the backup. The daemon must not run.
    """
    with refusing_store():
        copied, instance, entries = _restore(read_config(config), file, as_copy=as_copy)
    if as_json:
        say_json({
            "instance": instance, "receipts": copied.receipts, "incidents": copied.records, "entries": entries,
            "held": True,
        })  # fmt: skip
        return
    say(
        f"Restored {copied.receipts} receipts, {copied.records} incidents and {entries} timeline entries; "
        f"instance {instance}."
    )
    if as_copy:
        say("What was still to be told is left to the desk that this is a copy of.")
    say("Deliveries are held: look at `triagectl outbox list`, then `triagectl outbox release`.")


def _restore(config: Config, file: Path, *, as_copy: bool) -> tuple[Copied, str, int]:
    from daemon.clock import utc_now
    from daemon.state import StateFolder, alone_on
    from store.backup import restore_backup
    from store.engine import open_store, sqlite_path
    from store.keys import load_instance

    state = StateFolder(config.state)
    with state.locked(), alone_on(sqlite_path(config.store)):
        with progress("Restore") as tell:
            copied = restore_backup(file, config.store, as_copy=as_copy, now=utc_now(), tell=tell)
        store = open_store(config.store)
        try:
            with store.reading() as connection:
                instance = load_instance(connection).id
            state.remember(instance)
            return copied, instance, check_chain(store)
        finally:
            store.close()


def register(app: typer.Typer) -> None:
    """Make it a command."""
    add_command(app, "restore", restore, examples=[
        "triaged restore /var/backups/triaged.db -c /etc/triaged/triaged.yml",
        "triaged restore /var/backups/triaged.db -c /srv/rehearsal/triaged.yml --as-copy",
    ])  # fmt: skip
