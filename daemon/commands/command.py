"""Making a function a command of ``triagectl``: it is given a `Session`, and takes what all commands take."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, Concatenate, ParamSpec

import typer

from daemon.commands.refusals import refusing
from daemon.commands.session import DEFAULT_CONFIG, Asked, Session
from kit.text import clean_text

P = ParamSpec("P")

_EVERYWHERE = "Options of every command"
ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config", "-c", metavar="FILE", show_default=False, rich_help_panel=_EVERYWHERE,
        help=f"The configuration; else $TRIAGED_CONFIG, else {DEFAULT_CONFIG}.",
    ),
]  # fmt: skip
JsonOption = Annotated[
    bool, typer.Option("--json", show_default=False, rich_help_panel=_EVERYWHERE, help="Print one JSON document.")
]
AsOption = Annotated[
    str | None,
    typer.Option(
        "--as", metavar="HANDLE", show_default=False, rich_help_panel=_EVERYWHERE,
        help="For whom you act: recorded beside your own name, and gives no rights.",
    ),
]  # fmt: skip
_COMMON = {"config": ConfigOption, "as_json": JsonOption, "acting_as": AsOption}


def new_app(help_text: str) -> typer.Typer:
    """A group of commands."""
    return typer.Typer(help=help_text, no_args_is_help=True, rich_markup_mode="rich", pretty_exceptions_enable=False)


def command(
    app: typer.Typer, name: str, *, examples: Sequence[str]
) -> Callable[[Callable[Concatenate[Session, P], None]], Callable[Concatenate[Session, P], None]]:
    """Register a function as the command ``name``. Its docstring is the help, ``examples`` stand below it."""

    def register(function: Callable[Concatenate[Session, P], None]) -> Callable[Concatenate[Session, P], None]:
        @wraps(function)
        def run(ctx: typer.Context, **given: Any) -> None:
            asked = _merge(ctx.obj or Asked(), *(given.pop(option) for option in _COMMON))
            clean: dict[str, Any] = {
                option: clean_text(said) if isinstance(said, str) else said for option, said in given.items()
            }
            with refusing(), Session(asked) as session:
                function(session, **clean)  # type: ignore[call-arg]

        _take_options(run, function)
        app.command(name, epilog="\n\n".join(f"$ {example}" for example in examples))(run)
        return function

    return register


def _merge(before: Asked, config: Path | None, as_json: bool, acting_as: str | None) -> Asked:
    """What stands after the command goes before what stands in front of it."""
    return Asked(config or before.config, as_json or before.as_json, acting_as or before.acting_as)


def _take_options(run: Callable[..., None], function: Callable[..., None]) -> None:
    """Give ``run`` the parameters of ``function``, a context for its session, and the common options."""
    own = list(inspect.signature(function, eval_str=True).parameters.values())[1:]
    context = inspect.Parameter("ctx", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context)
    common = [
        inspect.Parameter(
            option, inspect.Parameter.KEYWORD_ONLY, annotation=kind, default=False if option == "as_json" else None
        )
        for option, kind in _COMMON.items()
    ]
    parameters = [context, *(one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in own), *common]
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {one.name: one.annotation for one in parameters}
