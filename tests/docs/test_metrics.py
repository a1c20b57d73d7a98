"""The reference page of metrics names every figure that the daemon shows, and no other."""

from __future__ import annotations

import re

from prometheus_client.parser import text_string_to_metric_families

from daemon.metrics import Metrics
from daemon.reference import FOLDER


def test_every_figure_is_on_the_page() -> None:
    page = (FOLDER / "metrics.md").read_text("utf-8")
    documented = {name.removesuffix("_total") for name in re.findall(r"^\| `(triaged_\w+)`", page, re.MULTILINE)}
    shown = {family.name for family in text_string_to_metric_families(Metrics([]).render().decode())}
    assert documented == shown
