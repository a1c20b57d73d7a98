"""What happens to the desk while it works: one kind a run, struck again and again."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from ledger.database import Server
from ledger.errors import LedgerError, NotHere
from ledger.house import House

#: How long a process stands still (fault 103), and how long a disk stays full, in seconds.
STILL, FULL = 2.0, 3.0
#: The disk that is filled, in MiB: room enough for what a run writes.
DISK = 512
#: In one kill of so many everything goes at once, as when the power goes for one host.
ALL_AT_ONCE = 5


@dataclass
class Scene:
    """Where trouble strikes."""

    house: House
    chance: random.Random
    server: Server | None = None
    disk: Path | None = None


Strike = Callable[[Scene], str]


def kill9(scene: Scene) -> str:
    """Kill one of its processes as the kernel would, or all of them."""
    house, victims = scene.house, scene.house.processes()
    chosen = victims if scene.chance.randrange(ALL_AT_ONCE) == 0 else [scene.chance.choice(victims)]
    for victim in chosen:
        with suppress(psutil.NoSuchProcess):
            victim.kill()
    if chosen[0].pid != victims[0].pid:
        return ("worker", "parser")[min(victims.index(chosen[0]) - 1, 1)]
    house.wait()
    house.start()
    return "all" if len(chosen) > 1 else "daemon"


def term(scene: Scene) -> str:
    """Ask it to stop, and start it again. Raises `LedgerError` when it does not end well."""
    status = scene.house.stop()
    if status != 0:
        raise LedgerError(f"the daemon ended with {status} when it was asked to stop:\n{scene.house.log()[-3000:]}")
    scene.house.start()
    return "stop"


def stopcont(scene: Scene) -> str:
    """Have one of its processes stand still, and go on."""
    victim = scene.chance.choice(scene.house.processes())
    with suppress(psutil.NoSuchProcess):
        victim.send_signal(signal.SIGSTOP)
        time.sleep(STILL)
        victim.send_signal(signal.SIGCONT)
    return "pause"


def restart(scene: Scene) -> str:
    """Restart the database under it."""
    assert scene.server is not None
    scene.server.restart()
    return "restart"


def full(scene: Scene) -> str:
    """Fill the disk to the last byte, and free it."""
    assert scene.disk is not None
    with ballast(scene.disk):
        time.sleep(FULL)
    return "full disk"


@contextmanager
def ballast(disk: Path) -> Iterator[None]:
    """Keep a small disk full to the last byte."""
    path = disk / "ballast"
    with path.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))
    yield
    path.unlink()


#: What can be struck, and on which database.
KINDS: dict[str, Strike] = {"kill9": kill9, "term": term, "stopcont": stopcont, "restart": restart, "full": full}
ON_SQLITE = ("kill9", "term", "stopcont", "full", "steps")
ON_POSTGRESQL = ("kill9", "term", "stopcont", "restart", "steps")


@contextmanager
def small_disk(folder: Path, mebibytes: int = DISK) -> Iterator[Path]:
    """A disk of its own in memory, which can be filled. Raises `NotHere` where this user may mount none."""
    folder.mkdir(parents=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={mebibytes}m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(command, check=False, capture_output=True).returncode:
        raise NotHere("only root may mount the small disk that is filled")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
        shutil.rmtree(folder, ignore_errors=True)
