"""P10: PostgreSQL beside SQLite, and two workers beside one.

What is worked was kept before, and nothing is handed over, so doors and relay cost nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from rich.console import Console

from benchmarks import clients
from benchmarks.clients import Numbers, Sent
from benchmarks.desk import RECIPIENT, RunningDesk, running_desk
from benchmarks.measured import Effort, Measured
from benchmarks.postgresql import new_database, postgresql_server
from benchmarks.traffic import varied_mails, webhook_posts

_BATCH = 10


def p10(effort: Effort, console: Console) -> Iterator[Measured]:
    """Alerts and mails worked on PostgreSQL by one worker and by two."""
    del console
    with postgresql_server() as server:
        rates = {("sqlite", 1): _worked(effort, store_url=None, workers=1)}
        for workers in (1, 2):
            rates["postgresql", workers] = _worked(effort, store_url=new_database(server), workers=workers)
    for place, what in enumerate(("distinct alerts", "mails")):
        one, two = rates["postgresql", 1][place], rates["postgresql", 2][place]
        yield Measured(
            "P10", f"{what}, 1 worker, beside SQLite", one, "1/s", 0.8, 1.2, peer=rates["sqlite", 1][place]
        )
        yield Measured("P10", f"{what}, 2 workers, beside 1", two, "1/s", 1.4, 1.7, peer=one)


def _worked(effort: Effort, *, store_url: str | None, workers: int) -> tuple[float, float]:
    """Alerts and mails a second, worked off after they were kept."""
    with running_desk(store_url=store_url, workers=workers) as desk:
        desk.hold_deliveries()
        posts, mails = webhook_posts(_BATCH), varied_mails()
        alert, letter = Numbers(_BATCH), Numbers(1)

        def post(seconds: float) -> Sent:
            return clients.post(
                desk.webhook, lambda: posts.make(alert()), connections=4, seconds=seconds, rate=1_000
            )

        def mail(seconds: float) -> Sent:
            return clients.mail(
                desk.smtp, lambda: mails.make(letter()), recipient=RECIPIENT, connections=8, seconds=seconds
            )

        return _work_off(desk, post, effort.seconds) * _BATCH, _work_off(desk, mail, effort.seconds)


def _work_off(desk: RunningDesk, send: Callable[[float], Sent], seconds: float) -> float:
    """Receipts a second."""
    send(0.3)
    desk.wait_worked()
    desk.pause()
    sent = send(seconds)
    desk.go_on()
    return sent.done / max(desk.wait_worked(), 1e-3)
