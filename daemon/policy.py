"""Reads the policy from disk: the pack of the framework, and what the organisation's folder says instead."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from zoneinfo import ZoneInfo

from rules.load import Loaded, PolicyFile, load_policy
from rules.problems import Problem, Where

FRAMEWORKS = ("lean",)


def read_policy(folder: Path | None, *, framework: str, zone: ZoneInfo) -> Loaded:
    """The policy in force; ``folder`` None means the pack as it is.

    A file of the folder stands for the pack's file of the same name.
    """
    problems: list[Problem] = []
    found = read_files(folder, framework=framework, problems=problems)
    loaded = load_policy(found, framework=framework, zone=zone)
    if problems:
        return Loaded(None, [*problems, *loaded.problems], loaded.warnings)
    return loaded


def read_files(folder: Path | None, *, framework: str, problems: list[Problem]) -> dict[str, PolicyFile]:
    """The files in force, by name."""
    found = _read_folder(pack_folder(framework), problems)
    if folder is not None:
        if folder.is_dir():
            found |= _read_folder(folder, problems)
        else:
            problems.append(Problem(Where(str(folder), 1), "there is no such folder, expected one with policy files"))
    return found


def pack_folder(framework: str) -> Path:
    """Where the files of a framework's pack are."""
    return Path(str(files("rules"))) / "packs" / framework


def _read_folder(folder: Path, problems: list[Problem]) -> dict[str, PolicyFile]:
    found: dict[str, PolicyFile] = {}
    for path in sorted(folder.glob("*.y*ml")):
        try:
            found[path.name] = PolicyFile(str(path), path.read_text("utf-8"))
        except UnicodeDecodeError:
            problems.append(Problem(Where(str(path), 1), "this is no text in UTF-8, expected a file saved as UTF-8"))
        except OSError as error:
            problems.append(Problem(Where(str(path), 1), f"this file cannot be read: {error.strerror}"))
    return found
