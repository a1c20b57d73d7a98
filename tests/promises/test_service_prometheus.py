"""A real Prometheus scrapes the daemon, takes the alert rules, and knows everything that the dashboard asks."""

from __future__ import annotations

import json
import shutil
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from daemon.series import PREFIX, SERIES

MONITORING = Path(__file__).parents[2] / "monitoring"
PROMETHEUS = shutil.which("prometheus")

pytestmark = pytest.mark.skipif(PROMETHEUS is None, reason="needs the Debian package prometheus")


class Monitor:
    """A Prometheus, asked over its API."""

    def __init__(self, port: int) -> None:
        self.port = port

    def get(self, path: str, **query: str) -> Any:
        url = f"http://127.0.0.1:{self.port}/api/v1/{path}?{urllib.parse.urlencode(query)}"
        with urllib.request.urlopen(url, timeout=10) as answer:
            return json.loads(answer.read())["data"]

    def rules(self) -> list[dict[str, Any]]:
        """The alert rules, and how each is."""
        return [rule for group in self.get("rules")["groups"] for rule in group["rules"]]

    def ask(self, expression: str) -> list[Any]:
        """The samples that an expression has now; nothing while it does not answer."""
        try:
            return list(self.get("query", query=expression)["result"])
        except OSError:
            return []


@pytest.fixture
def monitor(desk: Any, tmp_path: Path, port_of: Callable[[], int]) -> Iterator[Monitor]:
    """It scrapes the desk every second and has the rules that ship."""
    port = port_of()
    (tmp_path / "prometheus.yml").write_text(json.dumps({
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(MONITORING / "alerts.yml")],
        "scrape_configs": [
            {"job_name": "triaged", "static_configs": [{"targets": [f"127.0.0.1:{desk.web}"]}]},
        ],
    }))  # fmt: skip
    with (tmp_path / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(
            [str(PROMETHEUS), "--config.file=prometheus.yml", "--storage.tsdb.path=tsdb",
             f"--web.listen-address=127.0.0.1:{port}"],
            stdout=log, stderr=log, cwd=tmp_path,
        )  # fmt: skip
        try:
            yield Monitor(port)
        finally:
            process.terminate()
            process.wait(20)


def test_prometheus_scrapes_the_desk(
    desk: Any, monitor: Monitor, mail_of: Callable[..., Any], waiting: Callable[..., Any]
) -> None:
    """D9: every figure arrives under its name, and moves when something happens."""
    waiting(lambda: monitor.ask("up == 1"), "the desk is scraped")
    (job,) = monitor.ask("scrape_samples_scraped")
    assert int(job["value"][1]) > len(SERIES)
    known = {name for name in monitor.get("label/__name__/values") if name.startswith(PREFIX)}
    for series in SERIES:
        assert any(name.startswith(PREFIX + series.name) for name in known), series.name
    desk.mail(mail_of())
    waiting(
        lambda: monitor.ask('triaged_ingest_total{source="smtp", outcome="kept"} == 1')
        and monitor.ask('triaged_signals_total{disposition="opened"} == 1')
        and monitor.ask('triaged_outbox_total{outcome="delivered"} >= 1'),
        "the mail is counted at the door, in the queue and at the relay",
    )


def test_its_rules_and_panels_are_answered(monitor: Monitor, waiting: Callable[..., Any]) -> None:
    """Nothing that ships is refused by the real thing, and a desk that is well has no alert."""
    waiting(lambda: monitor.ask("count_over_time(up[1m]) > 3"), "some scrapes are in")
    waiting(lambda: {rule["health"] for rule in monitor.rules()} == {"ok"}, "every rule is evaluated")
    assert [rule["name"] for rule in monitor.rules() if rule["state"] == "firing"] == []
    for panel in json.loads((MONITORING / "dashboard.json").read_text())["panels"]:
        for target in panel["targets"]:
            expression = target["expr"].replace("$instance", ".*").replace("$__rate_interval", "1m")
            monitor.get("query", query=expression)
