"""Formats by name: one small file each, imported only when a source asks for it."""

from __future__ import annotations

import importlib
import re
from functools import lru_cache
from importlib.resources import files
from typing import cast

from ingest.spec import AlertFormat, Format, MailFormat

_NAME = re.compile(r"[a-z][a-z0-9_]{0,40}")


class UnknownFormat(Exception):
    """There is no such format."""

    code = "format.unknown"
    permanent = True


def format_names() -> tuple[str, ...]:
    """The formats that can be named in the configuration, in order of the alphabet."""
    names = (entry.name for entry in files("ingest.formats").iterdir())
    return tuple(sorted(name.removesuffix(".py") for name in names if name.endswith(".py") and name[0] != "_"))


@lru_cache(maxsize=64)
def load_format(name: str) -> Format:
    """The format of that name. Raises `UnknownFormat` with the known names."""
    if not _NAME.fullmatch(name) or name not in format_names():
        known = ", ".join(format_names())
        raise UnknownFormat(f"There is no format {name[:40]!r}; the known ones are {known}.")
    return cast("Format", importlib.import_module(f"ingest.formats.{name}"))


def load_alert_format(name: str) -> AlertFormat:
    """The format of that name for a source of machines. Raises `UnknownFormat` for ``mail``, too."""
    if name == "mail":
        known = ", ".join(known for known in format_names() if known != "mail")
        raise UnknownFormat(f"The format 'mail' is for mailboxes; a source of alerts takes one of {known}.")
    return cast("AlertFormat", load_format(name))


def load_mail_format() -> MailFormat:
    """The format of mails."""
    return cast("MailFormat", load_format("mail"))
