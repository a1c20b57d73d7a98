"""The peers, where they are installed: Alertmanager and Postfix, in temporary folders, on loopback."""

from __future__ import annotations

import os
import pwd
import shutil
import smtplib
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from benchmarks.clients import LOOPBACK, Posting
from benchmarks.desk import NotMeasured, free_port, running_as_root, temporary_folder

_READY_SECONDS = 15.0
_ALERTMANAGER = "route: {receiver: nobody}\nreceivers: [{name: nobody}]\n"
_MAIN = """\
compatibility_level = 3.6
queue_directory = {folder}/queue
data_directory = {folder}/data
maillog_file = {folder}/postfix.log
maillog_file_prefixes = {folder}
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
myhostname = desk.example.com
mydestination =
mynetworks = 127.0.0.0/8
relay_domains = example.com
relay_transport = discard
defer_transports = discard
smtpd_peername_lookup = no
smtpd_client_connection_count_limit = 0
smtpd_relay_restrictions = permit_mynetworks, reject
alias_maps =
alias_database =
"""
_MASTER = """\
{port} inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
discard unix - - n - - discard
error unix - - n - - error
retry unix - - n - - error
anvil unix - - n - 1 anvil
postlog unix-dgram n - n - 1 postlogd
"""


@contextmanager
def alertmanager() -> Iterator[tuple[Posting, psutil.Process]]:
    """An Alertmanager that keeps alerts and tells nobody."""
    program = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")
    if program is None:
        raise NotMeasured("Alertmanager is not installed (Debian: prometheus-alertmanager)")
    with temporary_folder("alertmanager") as folder:
        (folder / "alertmanager.yml").write_text(_ALERTMANAGER)
        port = free_port()
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                [
                    program, f"--config.file={folder}/alertmanager.yml", f"--storage.path={folder}/data",
                    f"--web.listen-address={LOOPBACK}:{port}", "--cluster.listen-address=", "--log.level=error",
                ],
                stdout=log, stderr=log,
            )  # fmt: skip
        try:
            _wait(lambda: _answers(f"http://{LOOPBACK}:{port}/-/ready"), "Alertmanager")
            yield Posting(port, "/api/v2/alerts"), psutil.Process(process.pid)
        finally:
            process.terminate()
            process.wait(20)


@contextmanager
def postfix() -> Iterator[int]:
    """A Postfix that takes mail into its queue and leaves it there; gives its port."""
    program = shutil.which("postfix") or shutil.which("postfix", path="/usr/sbin")
    if program is None or not running_as_root():
        raise NotMeasured("Postfix is not installed, or this is not root, whom it insists on")
    with temporary_folder("postfix") as folder:
        port = free_port()
        (folder / "main.cf").write_text(_MAIN.format(folder=folder))
        (folder / "master.cf").write_text(_MASTER.format(port=f"{LOOPBACK}:{port}"))
        (folder / "queue").mkdir()
        (folder / "data").mkdir()
        os.chown(folder / "data", pwd.getpwnam("postfix").pw_uid, -1)
        run = [program, "-c", str(folder)]
        try:
            _run([*run, "start"], check=True)
            _wait(lambda: _greets(port), "Postfix")
            yield port
        except subprocess.CalledProcessError as error:
            raise NotMeasured(f"Postfix did not start: {_last(folder / 'postfix.log')}") from error
        finally:
            _run([*run, "stop"], check=False)


def _run(command: list[str], *, check: bool) -> None:
    subprocess.run(command, check=check, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=30)


def _wait(look: Callable[[], bool], what: str) -> None:
    until = time.monotonic() + _READY_SECONDS
    while not look():
        if time.monotonic() > until:
            raise NotMeasured(f"{what} did not become ready in {_READY_SECONDS:.0f} seconds")
        time.sleep(0.05)


def _answers(url: str) -> bool:
    with suppress(OSError, urllib.error.URLError), urllib.request.urlopen(url, timeout=2) as answer:
        return bool(answer.status == 200)
    return False


def _greets(port: int) -> bool:
    with suppress(OSError, smtplib.SMTPException), smtplib.SMTP(LOOPBACK, port, timeout=2) as client:
        return client.noop()[0] == 250
    return False


def _last(log: Path) -> str:
    return log.read_text()[-300:] if log.exists() else "it says nothing"
