"""Formats are one small file each, found by name: a contract over every file in the folder."""

from __future__ import annotations

import inspect
import subprocess
import sys

import pytest

from ingest.registry import UnknownFormat, format_names, load_alert_format, load_format, load_mail_format
from ingest.spec import Shape, Unreadable


def test_the_formats_of_the_first_issue_are_there() -> None:
    assert set(format_names()) >= {"alertmanager", "pagerduty", "json", "mail"}


@pytest.mark.parametrize("name", format_names())
def test_every_format_keeps_the_contract(name: str) -> None:
    found = load_format(name)
    assert (inspect.getdoc(found) or "").strip()
    assert list(inspect.signature(found.shape).parameters) == ["body"]
    expected = ["body", "envelope", "trust"] if name == "mail" else ["body"]
    assert list(inspect.signature(found.parse).parameters) == expected


@pytest.mark.parametrize("name", [name for name in format_names() if name != "mail"])
def test_every_format_of_machines_says_when_it_cannot_read(name: str) -> None:
    found = load_alert_format(name)
    for body in (b"", b"\x00\xff", b"5", b"[" * 9999):
        with pytest.raises(Unreadable):
            found.shape(body)
        with pytest.raises(Unreadable):
            found.parse(body)


def test_a_mail_is_one_item_whatever_is_in_it() -> None:
    assert load_mail_format().shape(b"\xff\x00") == Shape(1)


@pytest.mark.parametrize("name", ["grafanaa", "../mail", "", "os", "__init__"])
def test_an_unknown_format_is_refused_with_the_known_ones(name: str) -> None:
    with pytest.raises(UnknownFormat, match="alertmanager, json, mail, pagerduty"):
        load_format(name)


def test_a_mailbox_format_is_no_source_of_alerts() -> None:
    with pytest.raises(UnknownFormat, match="for mailboxes"):
        load_alert_format("mail")


def test_a_format_is_imported_only_when_it_is_asked_for() -> None:
    code = """if True:
        import sys, ingest.registry
        ingest.registry.format_names()
        print([name for name in sys.modules if name.startswith("ingest.formats.")])
    """
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "[]"
