"""A real Prometheus with a rule, behind it a real Alertmanager, and the desk at the end of the line."""

from __future__ import annotations

import json
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

PROMETHEUS, ALERTMANAGER = shutil.which("prometheus"), shutil.which("prometheus-alertmanager")

pytestmark = pytest.mark.skipif(
    PROMETHEUS is None or ALERTMANAGER is None,
    reason="needs the Debian packages prometheus and prometheus-alertmanager",
)


class Exporter(ThreadingHTTPServer):
    """A target with one figure, which the test sets."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Metrics)
        self.value = 1

    @property
    def place(self) -> str:
        return f"127.0.0.1:{self.server_port}"


class _Metrics(BaseHTTPRequestHandler):
    server: Exporter

    def do_GET(self) -> None:
        body = f"odd {self.server.value}\n".encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *words: Any) -> None:
        pass


@contextmanager
def running(folder: Path, name: str, *command: str) -> Iterator[None]:
    """A server of the monitoring world, with its output beside its data."""
    with (folder / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder)
        try:
            yield
        finally:
            process.terminate()
            process.wait(20)


@pytest.fixture
def exporter(desk: Any, tmp_path: Path, port_of: Callable[[], int]) -> Iterator[Exporter]:
    """The figure, watched by Prometheus, whose alerts Alertmanager sends to the desk."""
    monitor, router = port_of(), port_of()
    server = Exporter()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    rules = {"groups": [{"name": "odd", "rules": [{
        "alert": "Odd", "expr": "odd > 0", "labels": {"severity": "warning"},
        "annotations": {"summary": "odd is {{ $value }}"},
    }]}]}  # fmt: skip
    (tmp_path / "rules.yml").write_text(json.dumps(rules))
    (tmp_path / "prometheus.yml").write_text(json.dumps({
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": ["rules.yml"],
        "scrape_configs": [{"job_name": "odd", "static_configs": [{"targets": [server.place]}]}],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": [f"127.0.0.1:{router}"]}]}]},
    }))  # fmt: skip
    hook = {
        "url": f"http://127.0.0.1:{desk.web}/ingest/prometheus",
        "http_config": {"authorization": {"credentials": desk.token("prometheus")}},
    }
    (tmp_path / "alertmanager.yml").write_text(json.dumps({
        "route": {"receiver": "desk", "group_wait": "1s", "group_interval": "1s", "repeat_interval": "2s"},
        "receivers": [{"name": "desk", "webhook_configs": [hook]}],
    }))  # fmt: skip
    with ExitStack() as stack:
        stack.callback(server.server_close)
        stack.callback(server.shutdown)
        stack.enter_context(running(
            tmp_path, "alertmanager", str(ALERTMANAGER), "--config.file=alertmanager.yml", "--storage.path=am",
            f"--web.listen-address=127.0.0.1:{router}", "--cluster.listen-address=",
        ))  # fmt: skip
        stack.enter_context(running(
            tmp_path, "prometheus", str(PROMETHEUS), "--config.file=prometheus.yml", "--storage.tsdb.path=tsdb",
            f"--web.listen-address=127.0.0.1:{monitor}", "--rules.alert.resend-delay=1s",
        ))  # fmt: skip
        yield server


def test_a_rule_opens_updates_and_restores_an_incident(
    desk: Any, exporter: Exporter, waiting: Callable[..., Any]
) -> None:
    """D3, M2.4: by itself from the first fire to resolved, with a code of its own."""
    (record,) = waiting(desk.incidents, "the alert is an incident")
    assert record["title"] == "odd is 1"
    exporter.value = 2
    waiting(lambda: desk.incidents()[0]["title"] == "odd is 2", "changed annotations refresh the record")
    exporter.value = 0
    waiting(lambda: desk.ctl("incident", "show", record["ref"])["state"] == "resolved", "its end resolves it")
    shown = desk.ctl("incident", "show", record["ref"])
    assert shown["resolution"] == "self_healed"
    assert shown["restored_at"] is not None
    assert desk.ctl("signal", "reconcile")["differences"] == []
