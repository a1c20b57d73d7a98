"""Alert rules and dashboard use only figures, labels and values that the daemon shows; every alert is explained."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from daemon.reference import FOLDER
from daemon.series import PREFIX, SERIES, SOURCES
from incidents.effects import WAKING, NoticeKind

MONITORING = FOLDER.parents[1] / "monitoring"
OPERATING = FOLDER.parent / "operating"
PROMTOOL = shutil.which("promtool")
#: Labels that Prometheus adds.
ADDED = {"instance", "job", "le"}
_NAME = re.compile(rf"\b({PREFIX}\w+)(?:\{{([^}}]*)\}})?")
_MATCHER = re.compile(r'(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"')
_BY = re.compile(r"\bby \(([^)]*)\)")

needs_promtool = pytest.mark.skipif(PROMTOOL is None, reason="needs promtool, of the Debian package prometheus")


def shown() -> dict[str, dict[str, Any]]:
    """Every name that a scrape shows, with the values of its labels."""
    names: dict[str, dict[str, Any]] = {}
    for series in SERIES:
        ends = ("_bucket", "_sum", "_count") if series.kind == "histogram" else ("",)
        names.update({f"{PREFIX}{series.name}{end}": dict(series.labels) for end in ends})
    return names


def rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load((MONITORING / "alerts.yml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def panels() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((MONITORING / "dashboard.json").read_text())["panels"]
    return found


def expressions() -> Iterator[str]:
    """All that is asked of Prometheus, by rules, their tests, panels and variables."""
    yield from (rule["expr"] for rule in rules())
    yield from (target["expr"] for panel in panels() for target in panel["targets"])
    board = json.loads((MONITORING / "dashboard.json").read_text())
    yield from (one["query"] for one in board["templating"]["list"])
    tests = yaml.safe_load((MONITORING / "tests.yml").read_text())["tests"]
    yield from (series["series"] for test in tests for series in test["input_series"])


def test_only_figures_that_exist_are_used() -> None:
    names = shown()
    for expression in expressions():
        for name, _ in _NAME.findall(expression):
            assert name in names, expression


def test_only_labels_and_values_that_exist_are_used() -> None:
    """A misspelt value would be an alert that never comes."""
    names = shown()
    for expression in expressions():
        used = _NAME.findall(expression)
        for name, matchers in used:
            for label, operator, value in _MATCHER.findall(matchers):
                if label in ADDED:
                    continue
                assert label in names[name], expression
                known = names[name][label]
                values = value.split("|") if "~" in operator else [value]
                assert known == SOURCES or set(values) <= set(known), expression
        labels = {label for name, _ in used for label in names[name]}
        for some in _BY.findall(expression):
            assert set(some.replace(" ", "").split(",")) <= labels | ADDED, expression


def test_every_figure_is_on_the_dashboard() -> None:
    """What is counted is looked at, or need not be counted."""
    used = {name for panel in panels() for target in panel["targets"] for name, _ in _NAME.findall(target["expr"])}
    for series in SERIES:
        assert any(name.startswith(PREFIX + series.name) for name in used), series.name


def test_panels_neither_overlap_nor_share_a_number() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in panels():
        place = panel["gridPos"]
        cells = {(x + place["x"], y + place["y"]) for x in range(place["w"]) for y in range(place["h"])}
        assert place["x"] + place["w"] <= 24
        assert not taken & cells, panel["title"]
        taken |= cells
    assert len({panel["id"] for panel in panels()}) == len(panels())


def test_every_alert_is_explained_and_tested() -> None:
    """What it means and what to do stands under its name on the operator's page."""
    page = (OPERATING / "troubles.md").read_text()
    explained = re.findall(r"^### (Triaged\w+)$", page, re.MULTILINE)
    names = [rule["alert"] for rule in rules()]
    assert explained == names
    tests = yaml.safe_load((MONITORING / "tests.yml").read_text())["tests"]
    fired = {case["alertname"] for test in tests for case in test["alert_rule_test"] if case.get("exp_alerts")}
    assert fired == set(names)


def test_what_wakes_nobody_is_told_apart_from_what_does() -> None:
    """A page that is given up is critical, all other mail a warning, and between them they are all there is."""
    found = {rule["alert"]: (rule["labels"]["severity"], rule["expr"]) for rule in rules()}
    kinds = {
        severity: set(re.findall(r'kind=~"([^"]*)"', expression)[0].split("|"))
        for severity, expression in (found["TriagedPageDead"], found["TriagedMailDead"])
    }
    assert kinds == {"critical": set(WAKING), "warning": set(NoticeKind) - WAKING}


def test_every_alert_says_how_bad_and_what() -> None:
    for rule in rules():
        assert rule["labels"]["severity"] in {"critical", "warning"}
        assert set(rule["annotations"]) == {"summary", "description"}


@needs_promtool
@pytest.mark.parametrize("words", [("check", "rules", "alerts.yml"), ("test", "rules", "tests.yml")])
def test_promtool_agrees(words: tuple[str, ...]) -> None:
    """Prometheus's own tool reads the rules, and plays the stories of tests.yml through them."""
    ended = subprocess.run(
        [str(PROMTOOL), *words], cwd=MONITORING, capture_output=True, text=True, check=False, timeout=60
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_the_rules_ship_beside_the_units() -> None:
    """The page on installing names the files by their paths."""
    page = (OPERATING / "install.md").read_text()
    for path in re.findall(r"(?<![\w/.-])((?:systemd|monitoring)/[\w./*-]+\w)", page):
        assert list(MONITORING.parent.glob(path)), path
