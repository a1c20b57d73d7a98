"""`make run`: a desk to look at. It starts the daemon on loopback, plays a short day into its doors, and stays.

Everything goes the way that real mail and real alerts go: SMTP, the Alertmanager webhook, the PagerDuty shape. The
folder ``var/sample`` is made anew at each start.
"""

from __future__ import annotations

import hashlib
import json
import mailbox
import shutil
import signal
import smtplib
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from datetime import timedelta
from email.message import EmailMessage
from email.utils import format_datetime, make_msgid
from pathlib import Path
from typing import Any

from rich.console import Console

from daemon.clock import utc_now
from daemon.example import write_example

FOLDER = Path("var/sample")
WEB, SMTP_PORT = "http://127.0.0.1:8080", 8025
DESK_ADDRESS = "support@example.com"
_PATIENCE = 30.0  # seconds until the daemon must be ready, or the day be worked

console = Console(highlight=False, soft_wrap=True)


class DidNotWork(Exception):
    """The sample could not be played; the daemon's log says why."""


def main() -> int:
    """Play the day, print what became of it, and keep the daemon until Ctrl-C."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    write_example(FOLDER)
    with (FOLDER / "daemon.log").open("wb") as log:
        daemon = subprocess.Popen(
            [sys.executable, "-m", "daemon.commands.triaged", "serve", "-c", str(FOLDER / "triaged.yml")], stderr=log
        )
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        _wait("The desk starts", lambda: _ready(daemon))
        _play()
        _wait("The desk works", _worked)
        _tell()
        daemon.wait()
    except KeyboardInterrupt:
        console.print("\nThe desk finishes what it has begun and stops.")
    except DidNotWork as error:
        console.print(f"[bold]{error}[/] Its log: {FOLDER / 'daemon.log'}", style="red")
        return 1
    finally:
        if daemon.poll() is None:
            daemon.terminate()
        daemon.wait()
    return 0


# ---------------------------------------------------------------------- the day


def _play() -> None:
    """The sample day, in a few seconds."""
    acts: list[Callable[[], None]] = [
        lambda: _mail("ann", "Printer on floor 3 prints blank pages", "Since this morning it prints blank pages only."),
        lambda: _alerts("firing", _disk("web1"), _disk("web2")),
        lambda: _alerts("firing", _disk("web1"), _disk("web2")),
        lambda: _alerts("firing", _shop()),
        lambda: _mail("bob", "The web shop is down", "Nobody can pay, customers call us. This is urgent."),
        lambda: _mail("cem", "Request: new mouse", "Mine is broken. There is no hurry."),
        lambda: _mail("dora", "I think I was phished", "I entered my password on a page that looked like ours."),
        lambda: _pager("trigger", "mail-queue", "Mail queue on mx1.example.com over 5,000"),
        lambda: _alerts("resolved", _disk("web2")),
        lambda: _pager("resolve", "mail-queue", None),
        lambda: _mail("robot", "Automatic reply: away", "I am away.", automatic=True),
        lambda: _reply_to_acknowledgement("ann"),
    ]
    for act in acts:
        act()
    console.print(f"  A day in {len(acts)} messages: mails by SMTP, alerts by webhook, one answer to an answer.")


def _mail(who: str, subject: str, text: str, *, automatic: bool = False, **headers: str) -> None:
    """One mail from a person (or a machine) to the desk."""
    message = EmailMessage()
    message["From"] = f"{who.title()} Example <{who}@example.com>"
    message["To"] = headers.pop("To", DESK_ADDRESS)
    message["Subject"] = subject
    message["Date"] = format_datetime(utc_now())
    message["Message-ID"] = make_msgid(domain="mail.example.com")
    if automatic:
        message["Auto-Submitted"] = "auto-replied"
    for name, value in headers.items():
        message[name.replace("_", "-")] = " ".join(value.split())
    message.set_content(f"Hello,\n\n{text}\n\n-- \n{who.title()}\n")
    with smtplib.SMTP("127.0.0.1", SMTP_PORT, timeout=10) as smtp:
        smtp.send_message(message, f"{who}@example.com", [str(message["To"])])


def _alerts(status: str, *alerts: dict[str, Any]) -> None:
    """What Alertmanager posts for a group."""
    now = utc_now().isoformat()
    ended = now if status == "resolved" else "0001-01-01T00:00:00Z"
    items = [{**alert, "status": status, "endsAt": ended} for alert in alerts]
    _post("prometheus", {"version": "4", "groupKey": "{}:{}", "status": status, "receiver": "desk", "alerts": items})


def _disk(host: str) -> dict[str, Any]:
    labels = {"alertname": "DiskAlmostFull", "instance": f"{host}.example.com:9100", "severity": "warning"}
    return _alert(labels, f"Disk of {host} is 91 % full", minutes_ago=4)


def _shop() -> dict[str, Any]:
    labels = {
        "alertname": "PaymentErrorRateHigh", "service": "checkout", "env": "prod", "severity": "critical",
        "instance": "pay1.example.com:8443",
    }  # fmt: skip
    return _alert(labels, "38 % of card payments fail", minutes_ago=2)


_STARTED = utc_now()


def _alert(labels: dict[str, str], summary: str, *, minutes_ago: int) -> dict[str, Any]:
    return {
        "labels": labels,
        "annotations": {"summary": summary, "runbook_url": f"https://wiki.example.com/{labels['alertname']}"},
        "startsAt": (_STARTED - timedelta(minutes=minutes_ago)).isoformat(),
        "generatorURL": "https://prometheus.example.com/graph",
        "fingerprint": hashlib.sha256(labels["instance"].encode()).hexdigest()[:16],
    }


def _pager(action: str, key: str, summary: str | None) -> None:
    """An event in the shape of PagerDuty's Events API v2."""
    event: dict[str, Any] = {"routing_key": "sample", "event_action": action, "dedup_key": key}
    if summary is not None:
        event["payload"] = {"summary": summary, "source": "mx1.example.com", "severity": "error"}
    _post("pager", event)


def _post(source: str, payload: dict[str, Any]) -> None:
    token = (FOLDER / "secrets" / f"{source}.token").read_text().strip()
    request = urllib.request.Request(  # noqa: S310 - our own loopback address
        f"{WEB}/ingest/{source}", json.dumps(payload).encode(),
        {"Content-Type": "application/json", "Authorization": f"Bearer {token}"},
    )  # fmt: skip
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - as above
        answer.read()


def _reply_to_acknowledgement(who: str) -> None:
    """Wait for the desk's answer, and answer it as a mail client would."""
    answer = _wait(f"{who.title()} waits for an answer", lambda: next(_mails_to(f"{who}@example.com"), None))
    _mail(
        who, f"Re: {answer['Subject']}", "It is the one beside the kitchen.", To=str(answer["Reply-To"]),
        In_Reply_To=str(answer["Message-ID"]), References=f"{answer['References']} {answer['Message-ID']}",
    )  # fmt: skip


def _mails_to(address: str) -> Iterator[Any]:
    folder = FOLDER / "outgoing"
    if folder.is_dir():
        for message in mailbox.Maildir(folder, create=False):
            if address in str(message["To"]):
                yield message


# ---------------------------------------------------------------------- what became of it


def _ready(daemon: subprocess.Popen[bytes]) -> bool:
    if daemon.poll() is not None:
        raise DidNotWork("The daemon ended before it was ready.")
    try:
        with urllib.request.urlopen(f"{WEB}/readyz", timeout=2) as answer:  # noqa: S310 - our own loopback address
            return bool(answer.status == 200)  # noqa: PLR2004 - OK
    except (urllib.error.URLError, OSError):
        return False


def _worked() -> bool:
    """Whether nothing waits any more, in the inbox or to be handed over."""
    return not _items("signal", "list", "--state", "waiting") and not (
        _items("outbox", "list", "--state", "waiting") or _items("outbox", "list", "--state", "ready")
    )


def _items(*words: str) -> list[Any]:
    said = subprocess.run(_triagectl(*words, "--json"), capture_output=True, check=True)
    return list(json.loads(said.stdout)["items"])


def _triagectl(*words: str) -> list[str]:
    return [sys.executable, "-m", "daemon.commands.triagectl", "-c", str(FOLDER / "triaged.yml"), *words]


def _tell() -> None:
    console.print()
    subprocess.run(_triagectl("incident", "list", "--state", "any", "--all"), check=True)
    sent = len(list((FOLDER / "outgoing" / "new").iterdir()))
    config = FOLDER / "triaged.yml"
    console.print(f"\n[bold]{sent} mails went out[/], into {FOLDER / 'outgoing'} (a Maildir, for no relay is set).")
    console.print(f"[bold]The desk stays open[/] at {WEB} until you press Ctrl-C. Now, from another shell:\n")
    console.print(f"  export TRIAGED_CONFIG={config}")
    console.print("  .venv/bin/triagectl incident why INC-1001")
    console.print("  .venv/bin/triagectl incident timeline INC-1001")
    console.print(f"  swaks --server 127.0.0.1:{SMTP_PORT} --to {DESK_ADDRESS} --header 'Subject: my screen is dark'")


def _wait(what: str, look: Callable[[], Any]) -> Any:
    """Look until there is something, and show that we do."""
    until = time.monotonic() + _PATIENCE
    with console.status(f"{what} …"):
        while time.monotonic() < until:
            found = look()
            if found:
                return found
            time.sleep(0.1)
    raise DidNotWork(f"{what}, but nothing came within {_PATIENCE:.0f} seconds.")


if __name__ == "__main__":
    sys.exit(main())
