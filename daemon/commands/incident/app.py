"""The group ``incident``; every verb is a file beside this one."""

from __future__ import annotations

from typing import Annotated

import typer

from daemon.commands.command import new_app
from kit.text import clean_text

app = new_app("Incidents and service requests: read them, work on them.")

RefArgument = Annotated[
    str, typer.Argument(metavar="REF", help="A reference such as INC-1042; either prefix finds it.")
]
TextArgument = Annotated[str, typer.Argument(metavar="TEXT", help="The words; - reads them from standard input.")]


def words(text: str) -> str:
    """The words that an argument gives, or those on standard input."""
    return clean_text(typer.get_text_stream("stdin", errors="replace").read()) if text == "-" else text
