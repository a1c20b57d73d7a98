"""Matchers, patterns and conditions: what they fit, and that no text keeps them busy."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.asked import TEXT_READ, Asked
from rules.conditions import Conditions, always, compile_conditions, covers
from rules.facts import Facts
from rules.language import Language
from rules.nodes import read_nodes
from rules.patterns import compile_globs, compile_pattern
from rules.problems import Problems
from rules.reading import read_value

NIGHT = datetime(2026, 11, 23, 1, 10, tzinfo=UTC)  # Monday, 02:10 in Berlin
ALERT = Facts(
    "alert", "prometheus", NIGHT, "DiskFull on db1", text="94 % used", resource="db1.example.com",
    labels={"env": "prod", "severity": "critical", "alertname": "DiskFull"}, service="checkout", priority="P1",
)  # fmt: skip
MAIL = Facts(
    "mail", "smtp", NIGHT, "HELP", subject="HELP with the Printer", text="The whole OFFICE cannot print. Straße 5",
    sender="ann@example.com", recipient="support@example.com", category="hardware.printer", kind="incident",
)  # fmt: skip


def asks(text: str) -> Conditions:
    problems = Problems()
    node = read_nodes("a.yml", text, problems)
    assert node is not None
    made = read_value(Conditions, node, problems)
    assert not problems.errors, problems.errors
    assert isinstance(made, Conditions)
    return made


def holds(text: str, facts: Facts) -> bool:
    return compile_conditions(asks(text), Language(ZoneInfo("Europe/Berlin")))(Asked(facts))


@pytest.mark.parametrize(
    ("text", "facts", "fits"),
    [
        ("{from: alert}", ALERT, True),
        ("{from: [mail, submission]}", ALERT, False),
        ("{source: prom*}", ALERT, True),
        ("{source: zabbix}", ALERT, False),
        ("{labels: {env: prod, severity: [critical, page]}}", ALERT, True),
        ("{labels: {env: prod, severity: [warning, page]}}", ALERT, False),
        ("{labels: {env: prod, team: x}}", ALERT, False),
        ("{labels: {alertname: 'disk*'}}", ALERT, True),
        ("{labels: {alertname: diskfull}}", ALERT, True),
        ("{labels: {nothing: '*'}}", ALERT, False),
        ("{resource: 'db*.example.com'}", ALERT, True),
        ("{resource: 'db*'}", MAIL, False),
        ("{service: [vpn, checkout]}", ALERT, True),
        ("{priority: [P1, P2]}", ALERT, True),
        ("{priority: P2}", ALERT, False),
        ("{priority: P1}", MAIL, False),
        ("{sender: '*@example.com'}", MAIL, True),
        ("{sender: '*@example.com'}", ALERT, False),
        ("{recipient: support@example.com}", MAIL, True),
        ("{subject: [printer, scanner]}", MAIL, True),
        ("{subject: office}", MAIL, False),
        ("{text: whole office}", MAIL, True),
        ("{text: [nobody, help]}", MAIL, True),
        ("{text: STRASSE}", MAIL, True),
        ("{text: {matches: 'whole.{0,10}cannot'}}", MAIL, True),
        ("{text: {matches: '^Nobody'}}", MAIL, False),
        ("{text: [nobody, {matches: 'of+ice'}]}", MAIL, True),
        ("{category: hardware}", MAIL, True),
        ("{category: hardware.printer}", MAIL, True),
        ("{category: hard}", MAIL, False),
        ("{kind: incident, category: hardware, from: mail}", MAIL, True),
        ("{kind: service_request, category: hardware}", MAIL, False),
        ("{when: 'hour < 6 && weekday == \"mon\"'}", MAIL, True),
        ("{when: 'labels.env == \"prod\"'}", ALERT, True),
        ("{when: 'labels.other != \"prod\"'}", ALERT, False),
        ("{when: 'has(labels.env) && !has(labels.other)'}", ALERT, True),
        ("{when: 'service == \"\" && from == \"mail\"'}", MAIL, True),
        ("{when: 'text.matches(\"OFFICE\")', from: mail}", MAIL, True),
        ("{when: 'sender.endsWith(\"@example.com\") || priority in [\"P1\"]'}", ALERT, True),
    ],
)
def test_one_of_a_matchers_words_must_fit(text: str, facts: Facts, fits: bool) -> None:  # noqa: FBT001 - table
    assert holds(text, facts) is fits


@pytest.mark.parametrize(
    ("condition", "said"),
    [
        ("open_like >= 5", "'open_like' is no name that conditions know, expected one of: category, from"),
        ("servce == 'x'", "'servce' is no name that conditions know, did you mean service? Known: category, from"),
        ("within('30m')", "'within' is no name that conditions know"),
        ("hour > 'x'", "this is no condition in CEL: found no matching overload for '_>_' applied to '(int, string)'"),
        ("hour + 1", "this condition gives a value, expected a comparison that is true or false"),
        ("hour ==", "this is no condition in CEL: Syntax error"),
        ("text.matches('(?=x)')", "this is no pattern that takes linear time"),
        ('text.matches("(a")', "this is no pattern that takes linear time"),
        ("hour == 1 || " * 200 + "hour == 1", "this condition has"),
    ],
)
def test_a_condition_that_cannot_be_right_is_refused_at_load(condition: str, said: str) -> None:
    """Faults 42 and 83."""
    with pytest.raises(ValueError, match=re.escape(said)):
        Language(ZoneInfo("UTC")).compile(condition)


@pytest.mark.parametrize("pattern", ["(?=a)b", "(?<!a)b", r"(a)\1", "(a", "a{2000}", "x" * 1001])
def test_patterns_beyond_linear_time_are_refused(pattern: str) -> None:
    """Fault 42."""
    with pytest.raises(ValueError, match="expected"):
        compile_pattern(pattern)


@pytest.mark.parametrize("pattern", ["^(a+)+$", "^(a|aa)+$", "^(a|a?)+$", "(.*a){20}b"])
def test_a_text_made_to_keep_a_pattern_busy_does_not(pattern: str) -> None:
    """Fault 42: each of these would run for ages in a backtracking engine; here it ends."""
    evil = Facts("mail", "smtp", NIGHT, "x", text="a" * (TEXT_READ - 10) + "!")
    assert not holds(f"{{text: {{matches: '{pattern}'}}}}", evil)
    assert not holds(f"{{when: 'text.matches(\"{pattern}\")'}}", evil)


def test_rules_read_a_bounded_part_of_a_text() -> None:
    """Fault 42."""
    facts = Facts("mail", "smtp", NIGHT, "x", text="a" * TEXT_READ + "needle")
    assert not holds("{text: needle}", facts)
    assert not holds("{when: 'text.contains(\"needle\")'}", facts)


@given(st.text("ab*.", max_size=8), st.text("aAbB.", max_size=10))
def test_stars_mean_what_they_mean_to_a_shell(pattern: str, value: str) -> None:
    assert compile_globs([pattern])(value) == fnmatchcase(value.casefold(), pattern)


def test_no_matcher_fits_everything() -> None:
    assert always(asks("{from: []}"))
    assert holds("{from: []}", ALERT)
    assert not always(asks("{from: mail}"))


@pytest.mark.parametrize(
    ("wide", "narrow", "is_covered"),
    [
        ("{from: []}", "{from: mail}", True),
        ("{priority: [P1, P2]}", "{priority: P1, kind: incident}", True),
        ("{priority: P1}", "{priority: [P1, P2]}", False),
        ("{labels: {env: [a, b]}}", "{labels: {env: a, x: y}}", True),
        ("{labels: {env: a}}", "{labels: {env: b}}", False),
        ("{labels: {env: a}}", "{priority: P1}", False),
        ("{when: hour == 1}", "{when: hour == 1, kind: incident}", True),
        ("{when: hour == 1}", "{kind: incident}", False),
        ("{text: a}", "{text: a}", True),
    ],
)
def test_one_line_covers_another_when_its_words_do(wide: str, narrow: str, is_covered: Any) -> None:
    assert covers(asks(wide), asks(narrow)) is is_covered
