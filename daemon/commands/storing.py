"""What `backup`, `restore` and `copy` share: the configuration, its refusals, and the check of what was written."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from daemon.commands.refusals import CONFIGURATION, REFUSED, NotConfigured, Refused, complain, refusing
from daemon.commands.registering import CORRUPT, TRY_AGAIN

if TYPE_CHECKING:
    from daemon.config import Config
    from store.engine import Store

JsonOption = Annotated[bool, typer.Option("--json", show_default=False, help="Print one JSON document.")]


def read_config(path: Path) -> Config:
    """The configuration. Raises `NotConfigured` with every problem."""
    from daemon.config import load_config

    loaded = load_config(path)
    if loaded.config is None:
        raise NotConfigured(loaded.problems)
    return loaded.config


@contextmanager
def refusing_store() -> Iterator[None]:
    """The exit statuses of ``triaged`` for what the store refuses: 74 damaged, 75 try again, 78 the setting, else 1.

    A daemon that works on the store is 75, as for a second daemon.
    """
    from daemon.state import AlreadyRuns
    from store.errors import BadUrl, Foreign, Missing, SchemaMismatch, StoreCorrupt, StoreError

    with refusing():
        try:
            yield
        except AlreadyRuns as error:
            complain(str(error))
            raise typer.Exit(TRY_AGAIN) from error
        except PermissionError as error:
            complain(f"{error.filename} can't be opened: run this as root, or as the user of the daemon")
            raise typer.Exit(CONFIGURATION) from error
        except StoreError as error:
            complain(str(error))
            if isinstance(error, StoreCorrupt):
                raise typer.Exit(CORRUPT) from error
            if isinstance(error, BadUrl | Foreign | Missing | SchemaMismatch):
                raise typer.Exit(CONFIGURATION) from error
            raise typer.Exit(REFUSED if error.permanent else TRY_AGAIN) from error


def check_chain(store: Store) -> int:
    """Entries of the timeline, once every hash was worked out again. Raises `Refused` where the chain is broken."""
    from store.audit import verify

    with store.reading(longest=None) as connection:
        verified = verify(connection)
    if verified.first_broken is not None:
        raise Refused(
            f"All rows are written, but the timeline does not hold: {verified.first_broken.what}; see whether "
            "`triagectl audit verify` says the same of the original"
        )
    return verified.entries
