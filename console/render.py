"""Pages from templates: everything that is placed is escaped, and a template that names what is not there fails."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.responses import HTMLResponse


class Renderer:
    """The templates of this room, with what every page says."""

    def __init__(self, desk_name: str, public_url: str) -> None:
        self._environment = Environment(
            loader=PackageLoader("console"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
            lstrip_blocks=True,
        )  # fmt: skip
        self._environment.globals["desk"] = desk_name
        self._environment.globals["root"] = urlsplit(public_url).path.rstrip("/")  # where a proxy puts us below a path

    def page(
        self, template: str, *, status: int = 200, headers: dict[str, str] | None = None, **values: Any
    ) -> HTMLResponse:
        """One page; headers of the answer beside it."""
        text = self._environment.get_template(template).render(values)
        return HTMLResponse(text, status_code=status, headers=headers)

    def said(self, status: int, *, title: str, text: str, headers: dict[str, str] | None = None) -> HTMLResponse:
        """A page that only says something: what happened, what is safe, what to do."""
        return self.page("said.html", status=status, headers=headers, title=title, text=text)
