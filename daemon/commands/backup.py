"""``triaged backup``: the whole store in one file, while the daemon runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from daemon.commands.output import say, say_json
from daemon.commands.progress import progress
from daemon.commands.registering import DEFAULT_CONFIG, ConfigOption, add_command
from daemon.commands.storing import JsonOption, read_config, refusing_store

if TYPE_CHECKING:
    from store.backup import Backup


def backup(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where to write; nothing that exists is overwritten.")],
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Write the whole store to one file, while the daemon runs.

    It is an SQLite file whichever kind the store is, and holds the keys of the desk: keep it safe. It appears under
    its name once it is complete, checked and on the disk. Configuration and policy are files of their own.
    """
    from store.backup import make_backup
    from store.engine import open_store

    with refusing_store():
        store = open_store(read_config(config).store)
        try:
            with progress("Backup") as tell:
                made = make_backup(store, file, tell)
        finally:
            store.close()
    if as_json:
        say_json({"file": str(made.path), "size_bytes": made.size, "sha256": made.sha256, "instance": made.instance})
    else:
        _say(made)


def _say(made: Backup) -> None:
    """What ``sha256sum --check`` reads, whose comments begin with a number sign."""
    say(f"# instance {made.instance}, {made.size} bytes, every page checked; SHA-256:")
    say(f"{made.sha256}  {made.path}")


def register(app: typer.Typer) -> None:
    """Make it a command."""
    add_command(
        app, "backup", backup, examples=["triaged backup /var/backups/triaged.db -c /etc/triaged/triaged.yml"]
    )
