"""The group ``audit``; every verb is a file beside this one."""

from __future__ import annotations

from daemon.commands.command import new_app

app = new_app("The timeline's proof: that nobody changed or removed what was written.")
