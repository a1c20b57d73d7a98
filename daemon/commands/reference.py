"""The reference page of both commands, written from their own help."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from typing import Any

from typer.main import get_command

_HEAD = """# Commands: `triaged` and `triagectl`

{note}
`triagectl` works directly on the store, also while the daemon runs; the author is `cli:` and the user of the machine.
Every command of it takes `--config FILE`, `--json` and `--as HANDLE`, before it or after it.

With `--json` it prints one JSON document: a list gives `{{"items": […], "next": cursor or null}}`, everything else an
object. Keys are the words of the [glossary](../glossary.md), instants ISO 8601 with zone, spans in seconds with the
unit in the key. `signal parse` prints one JSON line a file.

| exit | of `triagectl` | of `triaged` |
|---|---|---|
| 0 | done | done |
| 1 | refused, not found, or a difference found; a sentence says why | refused |
| 2 | wrong usage | wrong usage |
| 64, 65, 67 | | `submit`: no address given, no mail, no address of this desk |
| 74 | | the database is damaged; nothing was changed |
| 75 | | try again |
| 78 | mistakes in configuration or policy, each on a line | the same |

Shell completion: `triaged --install-completion`, `triagectl --install-completion`.
"""
_COMMON = {"config", "as_json", "acting_as", "help", "install_completion", "show_completion"}


def commands_page(note: str) -> str:
    """The whole page; ``note`` says how it is written anew."""
    lines = [_HEAD.format(note=note)]
    for name in ("triaged", "triagectl"):
        lines.append(f"## `{name}`\n")
        group: Any = get_command(import_module(f"daemon.commands.{name}").app)
        for path, command in walk(group, name):
            lines += _command(path, command, keep_config=name == "triaged")
    return "\n".join(lines).rstrip() + "\n"


def walk(group: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Every command below a group, with its full name, in the order of the help."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from walk(command, f"{path} {name}")
        else:
            yield f"{path} {name}", command


def _command(path: str, command: Any, *, keep_config: bool) -> Iterator[str]:
    hidden = _COMMON - {"config"} if keep_config else _COMMON
    shown = [param for param in command.params if param.name not in hidden]
    arguments = [_metavar(param) for param in shown if param.param_type_name == "argument"]
    yield f"### `{' '.join([path, *arguments])}`\n"
    yield " ".join(command.help.split()) + "\n"
    if shown:
        yield "| | |\n|---|---|"
        yield from (_row(param) for param in shown)
        yield ""
    yield "```sh"
    yield from (line.removeprefix("$ ") for line in command.epilog.split("\n\n"))
    yield "```\n"


def _row(param: Any) -> str:
    name = _metavar(param) if param.param_type_name == "argument" else _option(param)
    needed = " Needed." if param.required and param.param_type_name == "option" else ""
    default = f" Default: `{param.default}`." if param.show_default and _told(param) else ""
    said = (param.help or "").rstrip(".") + "."
    return f"| `{name}` | {said}{needed}{default} |"


def _told(param: Any) -> bool:
    return param.default is not None and param.default != "" and not param.required and param.default is not False


def _option(param: Any) -> str:
    longest = max(param.opts, key=len)
    return longest if param.is_flag else f"{longest} {param.metavar or param.name.upper()}"


def _metavar(param: Any) -> str:
    return str(param.metavar or param.name.upper())
