"""The group ``outbox``; every verb is a file beside this one."""

from __future__ import annotations

from typing import Annotated

import typer

from daemon.commands.command import new_app

app = new_app("The outbox: what is to be told, what was, and what failed.")

NumberArgument = Annotated[int, typer.Argument(metavar="ID", min=1, help="The number of a notification.")]
