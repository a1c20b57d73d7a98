"""The process that reads mails: whatever a mail does to it, only that mail is not read (fault 24)."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from incidents.signal import Mail
from ingest.parser import MailParser

MIB = 1024 * 1024


@pytest.fixture
def parser(monkeypatch: pytest.MonkeyPatch) -> Iterator[MailParser]:
    monkeypatch.syspath_prepend(Path(__file__).parent)
    with MailParser(parse="evil_parsing:parse", deadline=0.5, memory=128 * MIB, trust="mx.example.com") as made:
        yield made


def read(parser: MailParser, *bodies: bytes, marker: str = "") -> list[str]:
    """The subjects of mails, or ``failed: why``."""
    answers = parser.parse([(body, {"marker": marker}) for body in bodies])
    return [answer.subject if isinstance(answer, Mail) else f"failed: {answer.why}" for answer in answers]


def test_mails_are_read_in_their_order_by_one_process(parser: MailParser) -> None:
    bodies = [b"%d" % number for number in range(500)]
    assert read(parser, *bodies) == [body.decode() for body in bodies]
    assert parser.restarts == 0


def test_nothing_is_asked_for_nothing(parser: MailParser) -> None:
    assert parser.parse([]) == []


def test_a_real_mail_comes_back_as_it_was_parsed() -> None:
    mail = (
        b"From: Ana Example <ana@example.com>\nSubject: =?utf-8?q?Dr=C3=BCcker?=\nMessage-ID: <1@example.com>\n\nHello"
    )
    with MailParser() as parser:
        (answer,) = parser.parse([(mail, {"from": "ana@example.com", "to": ["support@example.com"]})])
    assert isinstance(answer, Mail)
    assert (answer.subject, answer.text, answer.recipients) == ("Drücker", "Hello", ("support@example.com",))


def test_the_largest_mail_passes_and_neither_side_waits_for_the_other(parser: MailParser) -> None:
    large = b"x" * (35 * MIB)
    answers = parser.parse([(b"a" * MIB, {})] * 8)
    assert [len(answer.subject) for answer in answers if isinstance(answer, Mail)] == [MIB] * 8
    with MailParser() as real:
        (answer,) = real.parse([(b"Subject: large\n\n" + large, {})])
    assert isinstance(answer, Mail)
    assert answer.notes == ("content truncated: the text was longer than 1 MiB",)


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"hang", "reading the mail took longer than 0.5 seconds"),
        (b"die", "the process that read the mail ended, or needed more memory than it may have"),
        (b"eat", "the process that read the mail ended, or needed more memory than it may have"),
        (b"raise", "reading the mail failed: RuntimeError"),
    ],
)
def test_a_mail_that_does_harm_fails_alone(parser: MailParser, body: bytes, why: str) -> None:
    assert read(parser, b"first", body, b"last") == ["first", f"failed: {why}", "last"]
    assert read(parser, b"after") == ["after"]


def test_a_mail_whose_process_somebody_killed_is_read_by_the_next_one(parser: MailParser, tmp_path: Path) -> None:
    marker = str(tmp_path / "killed")
    assert read(parser, b"a", b"die once", b"b", marker=marker) == ["a", "die once", "b"]
    assert parser.restarts == 1


def test_kills_from_outside_fail_no_innocent_mail(parser: MailParser) -> None:
    """Kill the process whenever one is seen, while many mails are read."""
    stop = threading.Event()
    killed = 0

    def kill() -> None:
        nonlocal killed
        me = psutil.Process()
        while not stop.wait(0.5):
            for child in me.children():
                if "ingest.parse_mails" in child.cmdline():
                    child.kill()
                    killed += 1
                    break

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        until = time.monotonic() + 3
        while time.monotonic() < until or not killed:
            answers = read(parser, *[b"x"] * 2000)
            assert answers == ["x"] * 2000
    finally:
        stop.set()
        killer.join()


def test_the_process_goes_when_its_parent_was_killed(tmp_path: Path) -> None:
    code = (
        "import os, signal\nfrom ingest.parser import MailParser\n"
        "p = MailParser()\np.parse([(b'Subject: a\\n\\nb', {})])\n"
        "import psutil\nprint(psutil.Process().children()[0].pid, flush=True)\nos.kill(os.getpid(), signal.SIGKILL)\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert run.returncode == -signal.SIGKILL
    child = int(run.stdout)
    psutil.wait_procs([psutil.Process(child)] if psutil.pid_exists(child) else [], timeout=5)
    assert not psutil.pid_exists(child)


def test_a_parser_that_is_closed_leaves_no_process(parser: MailParser) -> None:
    read(parser, b"a")
    (child,) = psutil.Process().children()
    parser.close()
    assert not child.is_running()
    assert read(parser, b"b") == ["b"]  # and starts anew when it is asked again


def test_a_signal_meant_for_the_daemon_does_not_end_it(parser: MailParser) -> None:
    (answer,) = parser.parse([(b"a", {})])
    assert isinstance(answer, Mail)
    os.kill(answer.hops, signal.SIGINT)
    os.kill(answer.hops, signal.SIGTERM)
    assert read(parser, b"b") == ["b"]
    assert parser.restarts == 0


def test_it_starts_fast_for_it_imports_little() -> None:
    code = "import sys, ingest.parse_mails, ingest.formats.mail; print(*sorted(sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(run.stdout.split())
    assert not loaded & {"asyncio", "sqlalchemy", "email.parser", "jinja2", "aiosmtpd", "rules.policy", "desk"}


def test_the_trusted_hop_is_told_to_the_parser(parser: MailParser) -> None:
    (answer,) = parser.parse([(b"a", {})])
    assert isinstance(answer, Mail)
    assert answer.text == "mx.example.com"


def test_a_function_that_is_not_there_is_no_mails_fault() -> None:
    with MailParser(parse="no_such_module:parse") as parser, pytest.raises(OSError, match="did not start"):
        parser.parse([(b"a", {})])
