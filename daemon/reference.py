"""The reference pages of settings, policy, metrics and commands: ``python -m daemon.reference`` writes them anew."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from daemon.commands.reference import commands_page
from daemon.config import Config
from daemon.series import metrics_page
from rules.conditions import Conditions
from rules.load import FILES
from rules.reference import describe

FOLDER = Path(__file__).parents[1] / "docs" / "reference"
_NOTE = "This page is written from the code by `python -m daemon.reference`; a test fails when it differs.\n"
_SETTINGS = f"""# Settings: `triaged.yml`

{_NOTE}
Durations are written `90s 15m 4h 2d`, sizes `10MiB`. Paths are counted from the folder of the file. Secrets stand in
files of their own. `triaged check -c triaged.yml` tells every mistake at once, with its line.

"""
_POLICY = f"""# Policy: the files of the policy folder

{_NOTE}
The framework's pack (`lean`) is complete. A file in your policy folder stands for the pack's file of the same name, so
the folder holds only what differs. `triaged check` tells every mistake at once, with its line and the nearest right
word.

A list of one may be written without the list. Where a file says `first match`, the first line that fits counts, and
the last line fits always. Where it says `all`, every rule that fits speaks: for impact and urgency the strongest word
counts, for the other fields the first rule's. Conditions (`when`) are CEL over the names
`from source sender recipient subject title text resource labels service category kind impact urgency severity
priority team state hour weekday`; what is not decided is the empty text, and a label that is not there makes its
comparison false. Rules read the first 65,536 characters of a text.

"""


def pages() -> Mapping[str, str]:
    """The pages by file name."""
    settings = describe({"triaged.yml": Config})
    policy = describe({**FILES, "Conditions": Conditions}, Conditions)
    return {
        "settings.md": _SETTINGS + settings,
        "policy.md": _POLICY + policy,
        "metrics.md": metrics_page(),
        "commands.md": commands_page(_NOTE),
    }


if __name__ == "__main__":
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, text in pages().items():
        (FOLDER / name).write_text(text, "utf-8")
