"""``triagectl``: the tool of operators and agents, directly on the store."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Annotated

import typer

from daemon.commands.command import AsOption, JsonOption, new_app
from daemon.commands.session import DEFAULT_CONFIG, Asked

#: Every noun and its verbs, in the order of the help; each verb is a file.
VERBS = {
    "incident": (
        "list", "show", "why", "timeline", "open", "ack", "assign", "note", "reply", "set", "wait", "restore",
        "resolve", "reopen", "close", "merge",
    ),
    "signal": ("list", "show", "parse", "replay", "discard", "why", "reconcile"),
    "outbox": ("list", "show", "retry", "discard", "hold", "release"),
    "policy": ("show", "check", "explain", "reload"),
    "audit": ("verify", "checkpoint"),
}  # fmt: skip

app = new_app("The tool of operators and agents. It works on the store, also while the daemon runs.")


@app.callback()
def options(
    ctx: typer.Context,
    config: Annotated[
        Path,
        typer.Option("--config", "-c", metavar="FILE", envvar="TRIAGED_CONFIG", help="The configuration."),
    ] = DEFAULT_CONFIG,
    as_json: JsonOption = False,
    acting_as: AsOption = None,
) -> None:
    """Take what every command takes."""
    ctx.obj = Asked(config, as_json, acting_as)


for _noun, _verbs in VERBS.items():
    for _verb in _verbs:
        import_module(f"daemon.commands.{_noun}.{_verb}")
    app.add_typer(import_module(f"daemon.commands.{_noun}.app").app, name=_noun)


def main() -> None:
    """The program."""
    app(prog_name="triagectl")


if __name__ == "__main__":
    main()
