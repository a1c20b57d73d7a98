"""Pages of lists: the three options that every ``list`` takes, and the note that there is more."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

if TYPE_CHECKING:
    from store.listing.pages import Page

T = TypeVar("T")

LimitOption = Annotated[int, typer.Option("--limit", min=1, max=1000, metavar="N", help="How many to a page.")]
CursorOption = Annotated[
    str | None, typer.Option("--cursor", metavar="CURSOR", show_default=False, help="Where the page before ended.")
]
AllOption = Annotated[bool, typer.Option("--all", show_default=False, help="Follow the cursors to the end.")]


def read_pages(read: Callable[[str | None], Page[Any]], *, cursor: str | None, everything: bool) -> Page[Any]:
    """One page, or with ``everything`` all pages as one."""
    from store.listing.pages import Page

    page = read(cursor)
    if not everything:
        return page
    items = list(page.items)
    while page.next is not None:
        page = read(page.next)
        items += page.items
    return Page(items)


def say_more(page: Page[Any]) -> None:
    """Tell that the list goes on, and how to see the rest; on standard error, beside the list."""
    if page.next is not None:
        typer.echo(f"There are more: --cursor {page.next} shows the next, --all shows all.", err=True)
