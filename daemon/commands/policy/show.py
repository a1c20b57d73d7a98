"""``triagectl policy show``: what is in force."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from daemon.commands.command import command
from daemon.commands.output import say, say_facts, say_json, say_table
from daemon.commands.policy.app import app
from daemon.commands.session import Session

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rules.load import PolicyFile
    from rules.policy import Policy


@command(app, "show", examples=["triagectl policy show", "triagectl policy show --effective > policy.txt"])
def show(
    session: Session,
    *,
    effective: Annotated[
        bool, typer.Option("--effective", show_default=False, help="The text of every file in force.")
    ] = False,
) -> None:
    """What is in force: its version, its files, and what they name."""
    from daemon.policy import read_files

    policy = session.policy
    files = read_files(session.config.policy, framework=session.config.desk.framework, problems=[])
    own = None if session.config.policy is None else session.config.policy
    if session.as_json:
        say_json(_shape(policy, files, own, effective=effective))
    elif effective:
        for name, file in sorted(files.items()):
            say(f"# {name}, from {file.path}\n{file.text.rstrip()}\n")
    else:
        _say(policy, files, own)


def _shape(policy: Policy, files: Mapping[str, PolicyFile], own: Path | None, *, effective: bool) -> dict[str, Any]:
    listed = []
    for name, file in sorted(files.items()):
        one: dict[str, Any] = {"name": name, "path": file.path, "own": _is_own(file, own)}
        listed.append({**one, "text": file.text} if effective else one)
    return {
        "version": policy.version,
        "framework": policy.framework,
        "files": listed,
        "teams": sorted(policy.teams),
        "services": sorted(policy.services),
        "categories": sorted(policy.categories),
        "people": sorted(policy.agents),
        "rotations": sorted(policy.rotations),
        "paths": sorted(policy.paths),
        "mailboxes": sorted(policy.mailboxes),
    }


def _say(policy: Policy, files: Mapping[str, PolicyFile], own: Path | None) -> None:
    say_facts([
        ("version", policy.version),
        ("framework", policy.framework),
        ("teams", ", ".join(sorted(policy.teams))),
        ("services", ", ".join(sorted(policy.services))),
        ("people", ", ".join(sorted(policy.agents))),
        ("rotations", ", ".join(sorted(policy.rotations))),
        ("escalation", ", ".join(sorted(policy.paths))),
        ("mailboxes", ", ".join(sorted(policy.mailboxes))),
    ])  # fmt: skip
    say("")
    rows = [
        (name, "yours" if _is_own(file, own) else "of the pack", file.path) for name, file in sorted(files.items())
    ]
    say_table(("file", "whose", "where"), rows, empty="")


def _is_own(file: PolicyFile, own: Path | None) -> bool:
    return own is not None and Path(file.path).parent == own
