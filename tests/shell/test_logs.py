"""Logs: one event one line whatever is in it, no secret, no body, and no waiting for who reads them."""

from __future__ import annotations

import ast
import io
import json
import logging
import os
import re
import subprocess
import sys
import warnings
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from daemon import logs
from daemon.logs import get_log, set_up_logs
from daemon.logwriter import Writer

ROOT = Path(__file__).parents[2]
HOSTILE = [
    "line\nbreak", "cr\r\nlf", '{"event":"fake"}', '"}\n{"event":"fake', "\x1b[31mred\x1b[0m", "\x00\x07\x7f\x9b",
    "\ud800 surrogate", "\u2028\u2029\u202e", "%s %d {x}", "x" * 100_000, "", "ünïcode 日本",
]  # fmt: skip


class Lines:
    """What was logged."""

    def __init__(self, writer: Writer, stream: io.StringIO) -> None:
        self._writer, self._stream = writer, stream

    def text(self) -> list[str]:
        assert self._writer.flush()
        return self._stream.getvalue().split("\n")[:-1]

    def read(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.text()]


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """Leave logging as it was found."""
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield
    if logs._OUTPUT.writer is not None:
        logs._OUTPUT.writer.close()
    logs._OUTPUT.writer = None
    root.handlers = handlers
    root.setLevel(level)
    logging.captureWarnings(capture=False)


def lines(*, pretty: bool = False, level: str = "info") -> Lines:
    stream = io.StringIO()
    return Lines(set_up_logs(level, stream, pretty=pretty), stream)


def test_an_event_is_one_line_of_json() -> None:
    logged = lines()
    get_log("desk").info("incident.folded", incident=7, reason="alert_repeat")
    (event,) = logged.read()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", event.pop("at"))
    assert event == {
        "level": "info", "event": "incident.folded", "part": "desk", "incident": 7, "reason": "alert_repeat",
    }  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_text_stays_inside_its_value(text: str) -> None:
    """Fault 41: line ends, escapes and fake JSON, as value, as key and as event."""
    logged = lines()
    get_log("desk").info("mail.received", title=text)
    get_log("desk").info("mail.received", **{text: 1})
    get_log("desk").info(text)
    raw = logged.text()
    assert len(raw) == 3
    assert all(line.isascii() and line.isprintable() for line in raw)
    events = logged.read()
    assert len(events) == 3
    assert events[0]["event"] == events[1]["event"] == "mail.received"
    assert str(events[0]["title"]).startswith(text[:2000])


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_a_terminal_shows_hostile_text_escaped(text: str) -> None:
    """Fault 41: no escape code reaches the terminal."""
    logged = lines(pretty=True)
    get_log("desk").info("mail.received", title=text, within={"deep": [text]})
    get_log("desk").info("mail.received", **{text: 1})
    get_log("desk").info(text)
    raw = logged.text()
    assert len(raw) == 3
    assert all(line.isprintable() for line in raw)


class Awkward:
    def __str__(self) -> str:
        raise RuntimeError("no text")


@pytest.mark.parametrize(
    "value",
    [
        float("nan"), float("inf"), 10**5000, b"\xff\x00", Awkward(), object(), {"a": {"b": {"c": {"d": {"e": 1}}}}},
        [[[[[[1]]]]]], list(range(10_000)), {Awkward: 1}, datetime(2026, 11, 23, tzinfo=UTC), {1, 2},
    ],
    ids=range(12),
)  # fmt: skip
@pytest.mark.parametrize("pretty", [False, True])
def test_no_value_can_break_a_line(value: object, pretty: bool) -> None:  # noqa: FBT001 - a table's column
    logged = lines(pretty=pretty)
    get_log("desk").info("thing.seen", value=value)
    (line,) = logged.text()
    assert len(line) < 6000
    if not pretty:
        json.loads(line)


def test_secrets_and_bodies_are_never_logged() -> None:
    logged = lines()
    get_log("doors").info(
        "door.asked", token="s3cret", password="s3cret", relay_password="s3cret", Authorization="s3cret",
        body=b"s3cret", text="s3cret", secret="s3cret", headers={"Authorization": "s3cret", "x-auth-token": "s3cret"},
        list=[{"token": "s3cret"}], raw=b"s3cret", size=3,
    )  # fmt: skip
    (line,) = logged.text()
    assert "s3cret" not in line
    assert json.loads(line)["size"] == 3
    assert json.loads(line)["headers"]["x-auth-token"] == "[redacted]"


def quote() -> None:
    raise ValueError("no such column\n[parameters: ('the whole mail',)]")


def test_an_exception_is_told_without_what_it_quotes() -> None:
    """A driver quotes rows in the further lines of its message, and rows hold mails."""
    logged = lines()
    try:
        try:
            quote()
        except ValueError as cause:
            raise RuntimeError("the turn failed") from cause
    except RuntimeError as error:
        get_log("worker").error("turn.failed", exc_info=error)
        get_log("worker").exception("turn.failed")
    first, second = logged.read()
    assert first["trace"][:2] == ["RuntimeError: the turn failed", "ValueError: no such column"]
    assert any("test_logs.py" in frame for frame in first["trace"])
    assert first["trace"] == second["trace"]
    assert (first["level"], second["level"]) == ("error", "error")
    assert "the whole mail" not in json.dumps([first, second])


def test_below_the_level_nothing_is_logged() -> None:
    logged = lines(level="warning")
    get_log("desk").info("incident.folded")
    get_log("desk").warning("relay.trouble")
    assert [event["event"] for event in logged.read()] == ["relay.trouble"]


@pytest.mark.parametrize("name", ["mail.log", "asyncio", "alembic", "anything.else"])
def test_what_libraries_log_is_data_of_our_events(name: str) -> None:
    logged = lines()
    logging.getLogger(name).warning('peer %r said\n{"event":"fake"}', "\x1b[31m")
    (event,) = logged.read()
    assert (event["event"], event["logger"], event["level"]) == ("library.message", name, "warning")
    assert event["message"].startswith("peer '\\x1b[31m' said\n")


def test_a_library_that_formats_wrongly_does_no_harm() -> None:
    logged = lines()
    logging.getLogger("asyncio").error("%d of %s", "x")  # noqa: PLE1206 - the mistake is the point
    logging.getLogger("asyncio").log(35, "between the levels")
    first, second = logged.read()
    assert first["message"] == "%d of %s"
    assert second["level"] == "warning"


def test_warnings_are_logged_too() -> None:
    logged = lines()
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(capture=True)
        warnings.warn("old way", DeprecationWarning, stacklevel=1)
    assert logged.read()[0]["logger"] == "py.warnings"


def test_a_reader_that_takes_nothing_costs_lines_and_no_time() -> None:
    """Fault 112: a full pipe as standard error."""
    reading, writing = os.pipe()
    with os.fdopen(writing, "w") as stream:
        writer = Writer(stream, most_lines=100)
        for _ in range(5000):
            writer.write("x" * 1000)
        assert writer.dropped >= 4000
        assert not writer.flush(0.01)
        os.close(reading)  # now nobody will ever take them
        assert writer.flush(5)
        writer.close()
        assert not writer._thread.is_alive()
    assert writer.dropped >= 4800


def test_a_closed_or_missing_standard_error_is_survived() -> None:
    """Fault 112."""
    closed = io.StringIO()
    closed.close()
    for stream in (closed, None):
        writer = Writer(stream)
        writer.write("x")
        assert writer.flush()
        assert writer.dropped == 1
        writer.close()
        writer.write("after the end")
        assert writer.dropped == 2


def test_drops_are_counted_for_the_metrics() -> None:
    assert logs.dropped() == 0
    set_up_logs(stream=io.StringIO())
    assert logs.dropped() == 0


def test_lines_that_wait_are_written_when_the_process_ends() -> None:
    script = (
        "from daemon.logs import set_up_logs, get_log\nset_up_logs()\n"
        "for number in range(3000):\n    get_log('x').info('thing.seen', number=number)\n"
    )
    ended = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, timeout=60, check=True)
    assert ended.stdout == b""
    assert [json.loads(line)["number"] for line in ended.stderr.splitlines()] == list(range(3000))


def test_events_are_names_not_sentences() -> None:
    """Habit 11."""
    found = 0
    for path in (ROOT / "daemon").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
                continue
            if isinstance(node.func.value, ast.Name) and node.func.value.id == "log" and node.args:
                (name,) = node.args
                if isinstance(name, ast.Constant):  # a name that is made of enums is a name anyway
                    assert re.fullmatch(r"[a-z_]+(\.[a-z_]+)+", str(name.value)), f"{path}: {name.value!r}"
                    found += 1
    assert found > 5
