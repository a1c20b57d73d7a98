"""The help of both commands: each says what it is for, shows how it is called, and says it in the desk's words."""

from __future__ import annotations

import re
import shlex
from typing import Any

import pytest
from typer.main import get_command

from daemon.commands import triagectl, triaged
from daemon.commands.reference import walk

PROGRAMS = {"triaged": triaged.app, "triagectl": triagectl.app}
COMMANDS = [(path, command) for name, app in PROGRAMS.items() for path, command in walk(get_command(app), name)]
NAMES = [path for path, _ in COMMANDS]


@pytest.mark.parametrize(("path", "command"), COMMANDS, ids=NAMES)
def test_every_option_and_argument_has_a_sentence(path: str, command: Any) -> None:
    del path
    assert command.help
    assert [param.name for param in command.params if not param.help] == []


def _examples() -> list[tuple[str, str]]:
    return [
        (path, line.removeprefix("$ ")) for path, command in COMMANDS for line in command.epilog.split("\n\n")
    ]


@pytest.mark.parametrize(("path", "example"), _examples())
def test_every_example_is_a_call_that_is_understood(path: str, example: str) -> None:
    """Parsed as the shell and the program would, and not run."""
    example = example.rpartition("| ")[2]
    words = shlex.split(re.split(r" [<>] ", example)[0])
    assert " ".join(words).startswith(path)
    command: Any = get_command(PROGRAMS[words[0]])
    context = command.make_context(words[0], words[1:], resilient_parsing=False)
    while hasattr(command, "commands"):
        name, command, rest = command.resolve_command(context, [*context._protected_args, *context.args])
        context = command.make_context(name, rest, parent=context)
    assert context.command is command


def test_the_contracts_nouns_and_verbs_are_there() -> None:
    """Of the contract, what this version has."""
    verbs: dict[str, set[str]] = {}
    for path in NAMES:
        program, *rest = path.split(" ")
        verbs.setdefault(" ".join([program, *rest[:-1]]), set()).add(rest[-1])
    assert verbs["triaged"] == {
        "serve", "check", "init", "migrate", "backup", "restore", "copy", "submit",
    }
    assert verbs["triagectl incident"] >= {
        "list", "show", "open", "ack", "assign", "note", "reply", "set", "wait", "restore", "resolve", "close",
        "reopen", "merge", "timeline", "why",
    }  # fmt: skip
    assert verbs["triagectl signal"] >= {"list", "show", "parse", "replay", "discard", "why", "reconcile"}
    assert verbs["triagectl outbox"] >= {"list", "show", "retry", "discard", "hold", "release"}
    assert verbs["triagectl policy"] >= {"show", "check", "explain", "reload"}
    assert verbs["triagectl audit"] >= {"verify"}


@pytest.mark.parametrize(("path", "command"), COMMANDS, ids=NAMES)
def test_no_word_that_the_desk_does_not_use(path: str, command: Any) -> None:
    said = " ".join([command.help, *(param.help or "" for param in command.params)])
    del path
    assert not re.findall(r"(?i)\b(please|sorry|oops|ticket|successfully)\b|!", said)
