"""What commands print: one JSON document, or tables and sentences for people.

Text from outside is shown and never obeyed: control characters are replaced before they reach a terminal.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import typer

from kit.instants import stamp

_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def say(sentence: str) -> None:
    """One line for people."""
    typer.echo(visible(sentence))


def say_json(document: Any, *, compact: bool = False) -> None:
    """One JSON document; ``compact`` puts it on one line."""
    shape: dict[str, Any] = {"separators": (",", ":")} if compact else {"indent": 2}
    written = json.dumps(document, ensure_ascii=False, default=_plain, **shape)
    typer.echo(re.sub("[\x7f-\x9f\u2028\u2029\ud800-\udfff]", lambda found: f"\\u{ord(found[0]):04x}", written))


def visible(text: str) -> str:
    """Text that a terminal shows and does not obey; line ends and tabs stay."""
    return _CONTROL.sub("\ufffd", text)


def say_table(columns: Sequence[str], rows: Iterable[Sequence[str | None]], *, empty: str) -> None:
    """Rows under their names; ``empty`` is what to say where there are none. Nothing is ever cut off."""
    cells = [[visible(cell or "").replace("\n", " ") for cell in row] for row in rows]
    if not cells:
        say(empty)
    elif sys.stdout.isatty():
        _print_rich(columns, cells)
    else:
        _print_plain(columns, cells)


def say_facts(facts: Iterable[tuple[str, str | None]]) -> None:
    """Names and values, one a line; what is not known is left out."""
    shown = [(name, visible(value)) for name, value in facts if value]
    width = max((len(name) for name, _ in shown), default=0)
    for name, value in shown:
        typer.echo(f"{name:<{width}}  {value}".replace("\n", "\n" + " " * (width + 2)))


def local(instant: datetime | None) -> str | None:
    """An instant for people, in the zone of this shell."""
    return None if instant is None else instant.astimezone().strftime("%Y-%m-%d %H:%M:%S %Z")


def _plain(value: object) -> str:
    if isinstance(value, datetime):
        return stamp(value)
    if isinstance(value, bytes):
        return value.hex()
    raise TypeError(f"{type(value).__name__} has no form in JSON")


def _print_plain(columns: Sequence[str], cells: Sequence[Sequence[str]]) -> None:
    lines = [columns, *cells]
    widths = [max(len(line[place]) for line in lines) for place in range(len(columns))]
    for line in lines:
        typer.echo("  ".join(f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True)).rstrip())


def _print_rich(columns: Sequence[str], cells: Sequence[Sequence[str]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for column in columns:
        table.add_column(column, overflow="fold")
    for line in cells:
        table.add_row(*(Text(cell) for cell in line))
    Console(highlight=False).print(table)
