"""The page for people who point monitors here tells the truth."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from incidents.signal import Alert
from ingest.alerts import LABELS_MAX, NAME_MAX, SEVERITY_WORDS, VALUE_MAX
from ingest.registry import load_alert_format

PAGE = (Path(__file__).parents[2] / "docs" / "alerts.md").read_text()


@pytest.mark.parametrize(
    ("source", "name"), [("prometheus", "alertmanager"), ("probes", "pagerduty"), ("backups", "json")]
)
def test_the_examples_are_read_as_the_page_says(source: str, name: str) -> None:
    example = re.search(rf"curl -sS https://desk.example.com/ingest/{source} .*?-d '(.*?)'", PAGE, re.DOTALL)
    assert example is not None
    (alert,) = load_alert_format(name).parse(example[1].encode())
    assert isinstance(alert, Alert)
    assert alert.title.endswith(("is full", "failed"))
    assert alert.severity_hint in {"sev1", "sev3"}
    assert alert.key


def test_the_words_for_severity_are_those_of_the_table() -> None:
    rows = re.findall(r"^\| `(sev\d)` \| (.*?) \|$", PAGE, re.MULTILINE)
    assert {word: hint for hint, words in rows for word in words.split(", ")} == SEVERITY_WORDS


def test_the_limits_are_those_of_the_code() -> None:
    assert f"keeps {LABELS_MAX} labels" in PAGE
    assert f"names of {NAME_MAX} and values of {VALUE_MAX:,} characters" in PAGE
