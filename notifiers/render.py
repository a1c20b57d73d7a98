"""Templates into text. What they are given is data: nothing in it is ever compiled (fault 40)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import FileSystemLoader, StrictUndefined, Template
from jinja2.sandbox import SandboxedEnvironment
from markupsafe import Markup, escape

from notifiers.errors import TooLong

#: Bytes of one rendered form, before it is encoded for the wire.
OUTPUT_CAP = 256 * 1024
_FONT = Markup("font-family:system-ui,-apple-system,'Segoe UI',Roboto,Arial,sans-serif;")
_GAPS = re.compile("\n{3,}")
_FOLDER = Path(__file__).parent / "templates"


def render(kind: str, form: str, facts: Mapping[str, Any]) -> str:
    """The mail of a kind in one form, ``html`` or ``txt``. Raises `TooLong` beyond the cap."""
    text = _template(kind, form).render(facts)
    if form == "txt":
        text = _GAPS.sub("\n\n", text)
    if len(text.encode()) > OUTPUT_CAP:
        raise TooLong
    return text


@cache
def _template(kind: str, form: str) -> Template:
    return _environment(form).get_template(f"{kind}.{form}")


@cache
def _environment(form: str) -> SandboxedEnvironment:
    """Strict, so that a word we forgot fails a test and never sends a mail with a hole in it."""
    environment = SandboxedEnvironment(
        loader=FileSystemLoader(_FOLDER), autoescape=form == "html", undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True, auto_reload=False,
    )  # fmt: skip
    environment.globals["font"] = _FONT
    environment.filters["lines"] = _lines
    return environment


def _lines(text: str) -> Markup:
    """A person's line ends, as HTML."""
    return escape(text).replace("\n", Markup("<br>\n"))
