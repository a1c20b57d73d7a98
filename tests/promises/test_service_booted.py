"""The unit in a real systemd: installed by the commands of the operator's page, then killed, hung, and looked into.

A Debian tree is booted in a container that has loopback and nothing else; what is written there is gone afterwards.
Bounds that need the kernel's v1 controllers or BPF (memory, addresses, ports) are not enforced there, and not tested.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

ROOT = Path(__file__).parents[2]
TREE = Path(os.environ.get("TRIAGED_SERVICE_TREE", "/var/tmp/triaged-service-tree"))
PYTHON = f"python{sys.version_info.major}.{sys.version_info.minor}"
ROOMS = ("daemon", "console", "ingest", "notifiers", "store", "desk", "triage", "rules", "incidents", "kit")
#: What tests need and a host does not.
DEVELOPMENT = ("mypy*", "*mypyc*", "ruff*", "pixeltable*", "hypothesis*", "_pytest", "pip*", "grimp*", "__editable__*")
RELEASE = "/root/release"


def missing() -> str | None:
    """Why no unit can be booted here."""
    if os.geteuid() != 0:
        return "needs root, to boot a container"
    if shutil.which("systemd-nspawn") is None:
        return "needs the Debian package systemd-container"
    if not (TREE / "usr/bin" / PYTHON).exists():
        return f"needs a Debian tree with {PYTHON} in {TREE}: `make test-service` makes one with debootstrap"
    return None


pytestmark = pytest.mark.skipif(missing() is not None, reason=str(missing()))


class Host:
    """A booted container."""

    def __init__(self, program: Path) -> None:
        parts = [ROOT / name for name in ("systemd", "docs", "monitoring")]
        binds = [f"--bind-ro={part}:{RELEASE}/{part.name}" for part in parts]
        self.nspawn = subprocess.Popen(
            ["systemd-nspawn", "-q", "-D", str(TREE), "--volatile=overlay", "--boot", "--register=no", "--keep-unit",
             "--private-network", "--console=pipe", *binds, f"--bind-ro={program}:/opt/triaged/0.1.0"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            env={**os.environ, "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"},
        )  # fmt: skip
        self.pid = 0

    def up(self) -> bool:
        """Whether systemd says that it is."""
        if self.nspawn.poll() is not None:
            pytest.fail(f"the container ended: {self.nspawn.communicate()[1].decode()[-2000:]}")
        children = psutil.Process(self.nspawn.pid).children()
        if not children:
            return False
        self.pid = children[0].pid
        return self.sh("systemctl is-system-running", ok=False).strip() in {"running", "degraded"}

    def sh(self, script: str, *, ok: bool = True, text: str = "") -> str:
        """What a script prints as root in the container."""
        ended = subprocess.run(
            ["nsenter", "-t", str(self.pid), "-m", "-u", "-i", "-n", "-p", "-C", "--",
             "env", "-i", "PATH=/usr/local/bin:/usr/sbin:/usr/bin", "HOME=/root", "LANG=C.UTF-8",
             "bash", "-euc", f"cd {RELEASE}\n{script}"],
            input=text, capture_output=True, text=True, check=False, timeout=90,
        )  # fmt: skip
        if ok and ended.returncode:
            journal = self.sh("journalctl --no-pager -n 40 -o cat", ok=False)
            pytest.fail(f"{script}\nended with {ended.returncode}: {ended.stdout}{ended.stderr}\n{journal[-3000:]}")
        return ended.stdout

    def show(self, key: str, unit: str = "triaged.service") -> str:
        """A property of a unit."""
        return self.sh(f"systemctl show -P {key} {unit}").strip()

    def python(self, script: str) -> str:
        """What a script of Python prints there."""
        return self.sh("/opt/triaged/current/bin/python3 -", text=script)

    def incidents(self) -> list[dict[str, Any]]:
        return list(json.loads(self.sh("triagectl incident list --json"))["items"])

    def stop(self) -> None:
        if self.nspawn.poll() is None and self.pid:
            os.kill(self.pid, signal.SIGRTMIN + 4)  # what systemd takes as an order to power off
        try:
            self.nspawn.communicate(timeout=30)
        except subprocess.TimeoutExpired:
            self.nspawn.kill()
            self.nspawn.communicate()


def make_program(folder: Path) -> Path:
    """What `python3 -m venv` and two calls of pip would make, out of the environment that runs these tests."""
    packages = folder / "lib" / PYTHON / "site-packages"
    shutil.copytree(
        sysconfig.get_path("purelib"), packages, symlinks=True, ignore=shutil.ignore_patterns(*DEVELOPMENT)
    )
    for room in ROOMS:
        shutil.copytree(ROOT / room, packages / room)
    programs = folder / "bin"
    programs.mkdir()
    (programs / "python3").symlink_to("/usr/bin/python3")
    (folder / "pyvenv.cfg").write_text("home = /usr/bin\ninclude-system-site-packages = false\n")
    for name in ("triaged", "triagectl"):
        script = f"#!/opt/triaged/0.1.0/bin/python3\nfrom daemon.commands.{name} import main\nmain()\n"
        (programs / name).write_text(script)
        (programs / name).chmod(0o755)
    return folder


def commands_of(section: str) -> str:
    """The first block of a section of the operator's page; what reaches out is left out."""
    page = (ROOT / "docs/operating/install.md").read_text()
    (text,) = re.findall(rf"^## {section}\n(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL)
    (block, *_) = re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    lines = block.splitlines(keepends=True)
    return "".join(one for one in lines if not re.search(r"^apt-get |pip install |-m venv ", one))


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """A host with the service, installed as the page says."""
    booted = Host(make_program(tmp_path_factory.mktemp("opt") / "0.1.0"))
    try:
        until = time.monotonic() + 60
        while not booted.up():
            assert time.monotonic() < until
            time.sleep(0.1)
        for section in ("User and folders", "The program", "Configuration", "The service"):
            booted.sh(commands_of(section))
        yield booted
    finally:
        booted.stop()


SEND = """
import smtplib, sys
from email.message import EmailMessage
message = EmailMessage()
message["From"], message["To"], message["Subject"] = "ana@example.com", "support@example.com", {subject!r}
message.set_content("It is odd.")
with smtplib.SMTP("127.0.0.1", 8025, timeout=60) as client:
    client.send_message(message)
print("accepted")
"""


def test_it_is_ready_with_its_sockets_and_says_so(host: Host) -> None:
    """D11: `systemctl start` came back only when it was."""
    assert host.show("ActiveState") == "active"
    assert host.show("StatusText") == "Takes mail and alerts"
    assert host.show("Type") == "notify"
    assert {host.show("ActiveState", f"triaged-{door}.socket") for door in ("http", "smtp")} == {"active"}


def test_a_mail_given_in_by_hand_is_an_incident(host: Host, waiting: Callable[..., Any]) -> None:
    """The page's own trial, by the worker and its parser, under all that the unit forbids."""
    text = (ROOT / "docs/operating/install.md").read_text()
    (trial,) = re.findall(r"^Try it:\n\n```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    host.sh(trial)
    waiting(lambda: [one["title"] for one in host.incidents()] == ["A first mail"], "it is an incident")
    assert set(host.sh("stat -c '%U %a' /var/lib/triaged/triaged.db*").splitlines()) == {"triaged 600"}


def test_an_alert_with_its_token_is_an_incident(host: Host, waiting: Callable[..., Any]) -> None:
    """The token is a credential: the daemon can't read the file itself."""
    alert = {"labels": {"alertname": "Odd"}, "status": "firing", "startsAt": "2026-01-01T00:00:00Z", "fingerprint": "1"}
    payload = json.dumps({"version": "4", "groupKey": "{}", "status": "firing", "alerts": [alert]})
    said = host.python(
        "import urllib.request\n"
        "token = open('/etc/triaged/secrets/prometheus.token').read().strip()\n"
        "headers = {'Authorization': f'Bearer {token}', 'Content-Type': 'application/json'}\n"
        f"ask = urllib.request.Request('http://127.0.0.1:8080/ingest/prometheus', {payload!r}.encode(), headers)\n"
        "print(urllib.request.urlopen(ask, timeout=20).status)\n"
    )
    assert said.strip() == "202"
    waiting(lambda: "Odd" in str(host.incidents()), "it is an incident")
    assert "denied" in host.sh("runuser -u triaged -- cat /etc/triaged/secrets/prometheus.token 2>&1", ok=False)


def test_a_reload_reaches_it(host: Host, waiting: Callable[..., Any]) -> None:
    before = host.sh("journalctl -u triaged -o cat").count("policy.loaded")
    host.sh("systemctl reload triaged.service")
    waiting(lambda: host.sh("journalctl -u triaged -o cat").count("policy.loaded") > before, "the policy is read")


INSIDE = """
import ctypes, mmap, os, subprocess, sys

def tried(what, do):
    try:
        print(what, "done", do())
    except OSError as error:
        print(what, error.strerror)

tried("etc", lambda: open("/etc/mark", "w"))
tried("usr", lambda: open("/usr/mark", "w"))
tried("root", lambda: os.listdir("/root"))
tried("shadow", lambda: open("/etc/shadow").read())
tried("secrets", lambda: os.listdir("/etc/triaged/secrets"))
tried("own", lambda: open("/var/lib/triaged/mark", "w").close())
tried("shell", lambda: subprocess.run(["/bin/sh", "-c", "true"]).returncode)
for folder in ("/tmp", "/var/lib/triaged", "/dev/shm"):
    path = folder + "/program"
    def run():
        with open(path, "w") as file:
            file.write("#!/opt/triaged/current/bin/python3")
        os.chmod(path, 0o700)
        return subprocess.run([path]).returncode
    tried("exec " + folder, run)
tried("wx", lambda: mmap.mmap(-1, 4096, prot=mmap.PROT_WRITE | mmap.PROT_EXEC))
libc = ctypes.CDLL(None, use_errno=True)
def call(number, *arguments):
    if libc.syscall(number, *arguments) < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
tried("namespace", lambda: call(272, 0x10000000))  # unshare, a user namespace
tried("module", lambda: call(175, 0, 0, 0))  # init_module
tried("packet", lambda: __import__("socket").socket(17, 3, 0))
status = dict(line.split(":\\t", 1) for line in open("/proc/self/status").read().splitlines() if ":\\t" in line)
print("status", status["CapBnd"], status["NoNewPrivs"], status["Seccomp"])
mounts = dict(line.split()[4:6] for line in open("/proc/self/mountinfo"))  # the last at a place is the one seen
for place, options in mounts.items():
    if "noexec" not in options.split(",") and os.access(place, os.W_OK):
        print("writable and executable:", place)
print("others", sum(name.isdigit() for name in os.listdir("/proc")))
"""


def test_inside_little_can_be_done(host: Host) -> None:
    """What somebody could do who runs code in the daemon: a program of ours in the daemon's place, same lines."""
    host.sh("cat > /root/inside.py", text=INSIDE)
    unit = host.sh("systemctl cat triaged.service")
    lines = "\n".join(line for line in unit.splitlines() if not line.startswith(("ExecStart=", "ExecReload=", "#")))
    lines = lines.replace("Type=notify", "Type=oneshot\nExecStart=/opt/triaged/current/bin/python3 /opt/inside.py")
    lines = re.sub(r"^(Watchdog|Restart|LoadCredential).*\n", "", lines, flags=re.MULTILINE)
    host.sh("cp /root/inside.py /opt/inside.py && cat > /run/systemd/system/inside.service", text=lines)
    host.sh("systemctl daemon-reload && systemctl start inside.service", ok=False)
    said = host.sh("journalctl -u inside.service -o cat --no-pager")
    for what in (
        "etc Read-only file system", "usr Read-only file system", "root Permission denied", "shadow Permission denied",
        "secrets Permission denied", "own done None", "shell Permission denied", "exec /tmp Permission denied",
        "exec /var/lib/triaged Permission denied", "exec /dev/shm Permission denied",
        "wx Operation not permitted", "namespace Operation not permitted", "module Operation not permitted",
        "packet Address family not supported by protocol", "status 0000000000000000 1 2",
    ):  # fmt: skip
        assert what in said, said
    assert "writable and executable" not in said
    assert int(re.findall(r"^others (\d+)$", said, re.MULTILINE)[0]) < 5


def test_who_connects_after_a_kill_is_served_by_the_next_one(host: Host, waiting: Callable[..., Any]) -> None:
    """Faults 101 and 110: nobody is refused, and no hand is needed."""
    before, count = host.show("MainPID"), int(host.show("NRestarts"))
    host.sh(f"kill -9 {before}")
    begun = time.monotonic()
    assert host.python(SEND.format(subject="While it was dead")) == "accepted\n"
    assert time.monotonic() - begun < 30
    assert host.show("MainPID") != before
    assert int(host.show("NRestarts")) == count + 1
    waiting(lambda: "While it was dead" in str(host.incidents()), "the mail is an incident")


def test_a_daemon_that_hangs_is_aborted_and_started_again(host: Host, waiting: Callable[..., Any]) -> None:
    """Fault 104: the watchdog acts, the stacks are in the journal; its minute is made seconds here."""
    host.sh("mkdir -p /run/systemd/system/triaged.service.d")
    host.sh("cat > /run/systemd/system/triaged.service.d/watchdog.conf", text="[Service]\nWatchdogSec=4s\n")
    host.sh("systemctl daemon-reload && systemctl restart triaged.service")
    before = host.show("MainPID")
    host.sh(f"kill -STOP {before}")
    assert host.python(SEND.format(subject="While it hung")) == "accepted\n"
    assert host.show("MainPID") != before
    journal = host.sh("journalctl -u triaged -o cat --no-pager")
    assert "Failed with result 'watchdog'" in journal
    assert "most recent call first" in journal
    waiting(lambda: "While it hung" in str(host.incidents()), "the mail is an incident")
    host.sh("rm /run/systemd/system/triaged.service.d/watchdog.conf && systemctl daemon-reload")


def test_a_stop_is_clean_and_the_next_mail_starts_it(host: Host) -> None:
    """Socket activation proper: the door alone is enough."""
    host.sh("systemctl stop triaged.service")
    assert host.show("Result") == "success"
    assert host.python(SEND.format(subject="It was asleep")) == "accepted\n"
    assert host.show("ActiveState") == "active"


def test_a_mistake_in_the_policy_is_started_once(host: Host) -> None:
    """Fault 83: 78 is told in the journal with its line, and nothing loops."""
    host.sh("systemctl stop triaged-smtp.socket triaged-http.socket triaged.service")
    host.sh("cp /etc/triaged/policy/routing.yml /root/ && echo 'nonsense: 1' >> /etc/triaged/policy/routing.yml")
    count = host.show("NRestarts")
    host.sh("systemctl start triaged.service", ok=False)
    assert host.show("ExecMainStatus") == "78"
    assert host.show("ActiveState") == "failed"
    assert host.show("NRestarts") in {"0", count}
    assert "routing.yml:" in host.sh("journalctl -u triaged -o cat --no-pager -n 20")
    host.sh("cp /root/routing.yml /etc/triaged/policy/ && systemctl reset-failed triaged.service")
    host.sh("systemctl start triaged-smtp.socket triaged-http.socket triaged.service")


def test_a_missing_folder_of_secrets_is_a_failed_start(host: Host) -> None:
    """Better than a daemon that lets nobody in."""
    host.sh("systemctl stop triaged.service && mv /etc/triaged/secrets /root/")
    host.sh("systemctl start triaged.service", ok=False)
    assert host.show("ExecMainStatus") == "243"  # what systemd gives for credentials
    host.sh("mv /root/secrets /etc/triaged/ && systemctl reset-failed triaged.service")
    host.sh("systemctl start triaged-smtp.socket triaged-http.socket triaged.service")
    assert host.show("ActiveState") == "active"
