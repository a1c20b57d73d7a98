"""Logs: one event a line, JSON for the journal, readable on a terminal; nothing from outside can forge a line.

Event names are names (``incident.folded``), never sentences; what happened to whom stands in keys, and the ids
``receipt``, ``signal``, ``incident`` and ``outbox`` carry one signal through every stage (`daemon.journeys`). Bodies
are never logged. Logging never blocks: lines go through a bounded queue, and what does not fit is dropped and counted.
"""

from __future__ import annotations

import logging
import sys
from typing import Any, TextIO, cast

import structlog
from structlog.typing import EventDict, FilteringBoundLogger, WrappedLogger

from daemon.clock import utc_now
from daemon.loglines import as_json, as_text, plain, trace_of
from daemon.logwriter import Writer
from kit.instants import stamp

#: Values that are never logged, by the name or the last word of their key.
_SECRET = ("token", "password", "secret", "authorization", "body", "text")
_REDACTED = "[redacted]"
#: Libraries that tell more than an operator wants to read, and how much is wanted of each.
_LIBRARIES = {
    "": logging.INFO, "uvicorn": logging.WARNING, "uvicorn.access": logging.ERROR, "uvicorn.error": logging.ERROR,
    "mail.log": logging.WARNING, "mail.debug": logging.CRITICAL, "asyncio": logging.WARNING, "alembic": logging.INFO,
    "sqlalchemy": logging.WARNING, "psycopg": logging.WARNING, "py.warnings": logging.WARNING,
}  # fmt: skip


class _Output:
    """Where lines go: straight to standard error until `set_up_logs` gave them a writer."""

    writer: Writer | None = None

    def msg(self, line: str) -> None:
        """One line."""
        if self.writer is not None:
            self.writer.write(line)
        elif sys.stderr is not None:
            sys.stderr.write(line + "\n")

    debug = info = warning = error = critical = exception = msg


_OUTPUT = _Output()


def get_log(part: str) -> FilteringBoundLogger:
    """The log of one part of the daemon."""
    return cast("FilteringBoundLogger", structlog.get_logger(part=part))


def set_up_logs(level: str = "info", stream: TextIO | None = None, *, pretty: bool | None = None) -> Writer:
    """Log from ``level`` on to ``stream`` (standard error), for people where it is a terminal.

    The lines of libraries come the same way. The writer that comes back is flushed when the process ends.
    """
    target = sys.stderr if stream is None else stream
    for_people = bool(target is not None and target.isatty()) if pretty is None else pretty
    if _OUTPUT.writer is not None:
        _OUTPUT.writer.close()
    _OUTPUT.writer = Writer(target)
    _configure(logging.getLevelNamesMapping()[level.upper()], for_people=for_people)
    _route_libraries()
    return _OUTPUT.writer


def dropped() -> int:
    """Lines dropped since the process began."""
    return 0 if _OUTPUT.writer is None else _OUTPUT.writer.dropped


# ---------------------------------------------------------------------- the chain


def _configure(level: int, *, for_people: bool) -> None:
    structlog.configure(
        processors=[_stamped, _traced, _redacted, as_text if for_people else as_json],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=lambda *_: _OUTPUT,
        cache_logger_on_first_use=False,
    )


def _stamped(_: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """When, how grave and what come first."""
    level = "error" if method == "exception" else method
    return {"at": stamp(utc_now()), "level": level, "event": str(event.pop("event", "")), **event}


def _traced(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """An exception as a list of what and where: its text may quote a mail, so only the head of it is kept."""
    error = event.pop("exc_info", None)
    if error is True:
        error = sys.exc_info()[1]
    if isinstance(error, tuple):
        error = error[1]
    if isinstance(error, BaseException):
        event["trace"] = trace_of(error)
    return event


def _redacted(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    return {str(key): _REDACTED if _is_secret(str(key)) else _cleaned(value) for key, value in event.items()}


def _cleaned(value: Any) -> Any:
    """A value as JSON holds it, with secrets inside it taken out too."""
    clean = plain(value)
    if isinstance(clean, dict):
        return {key: _REDACTED if _is_secret(key) else _cleaned(one) for key, one in clean.items()}
    if isinstance(clean, list):
        return [_cleaned(one) if isinstance(one, dict) else one for one in clean]
    return clean


def _is_secret(key: str) -> bool:
    return key.lower().replace("-", "_").rpartition("_")[2] in _SECRET


# ---------------------------------------------------------------------- libraries


class _FromLibraries(logging.Handler):
    """Takes what libraries log; their text is data under ``message``, never an event of ours."""

    def emit(self, record: logging.LogRecord) -> None:
        """One line of a library; nothing that it does can raise here."""
        try:
            message = record.getMessage()
        except Exception:  # noqa: BLE001 - a library's own formatting failed
            message = str(record.msg)
        say = getattr(get_log("library"), _level_word(record.levelno))
        say("library.message", logger=record.name, message=message, exc_info=record.exc_info)


def _level_word(level: int) -> str:
    return "error" if level >= logging.ERROR else "warning" if level >= logging.WARNING else "info"


def _route_libraries() -> None:
    logging.captureWarnings(capture=True)
    root = logging.getLogger()
    root.handlers = [_FromLibraries()]
    for name, level in _LIBRARIES.items():
        logger = logging.getLogger(name)
        logger.setLevel(level)
        if name:
            logger.handlers, logger.propagate = [], True


_configure(logging.INFO, for_people=False)
