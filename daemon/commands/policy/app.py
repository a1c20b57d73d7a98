"""The group ``policy``; every verb is a file beside this one."""

from __future__ import annotations

from daemon.commands.command import new_app

app = new_app("The policy: what is in force, whether it holds, and what it would say.")
