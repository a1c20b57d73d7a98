"""The group ``signal``; every verb is a file beside this one."""

from __future__ import annotations

import re
from typing import Annotated

import typer

from daemon.commands.command import new_app
from daemon.commands.refusals import NotFound

app = new_app("Signals: what came in, what became of each, and what waits in quarantine.")

NameArgument = Annotated[
    str, typer.Argument(metavar="SIGNAL", help="The number of a signal, or receipt:N for what a door accepted.")
]


def receipt_number(name: str) -> int | None:
    """The number in ``receipt:N``; None for anything else."""
    match = re.fullmatch(r"receipt:([0-9]{1,15})", name)
    return int(match[1]) if match else None


def signal_number(name: str) -> int:
    """The number of a signal. Raises `NotFound`."""
    if not re.fullmatch(r"[0-9]{1,15}", name):
        raise NotFound(f"{name!r} names no signal; it is a number such as 34, or receipt:12")
    return int(name)
