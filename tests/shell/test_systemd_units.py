"""The units, judged by systemd's own tools: nothing misspelt, and little that the daemon could do to the machine."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

UNITS = Path(__file__).parents[2] / "systemd"
ANALYZE = shutil.which("systemd-analyze")
#: What the tool says because the program is not installed on this machine.
NOT_HERE = re.compile(r"Command \S+ is not executable: No such file or directory")

needs_systemd = pytest.mark.skipif(ANALYZE is None, reason="needs the Debian package systemd")


def unit_in(folder: Path, *drop_ins: str) -> Path:
    """The units in a folder of their own, with drop-ins for the service."""
    for unit in (*UNITS.glob("*.service"), *UNITS.glob("*.socket")):
        shutil.copy(unit, folder)
    extra = folder / "triaged.service.d"
    extra.mkdir()
    for name in drop_ins:
        shutil.copy(UNITS / "drop-ins" / name, extra)
    return folder / "triaged.service"


def analyze(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(ANALYZE), *words], capture_output=True, text=True, check=False, timeout=60)


@needs_systemd
@pytest.mark.parametrize(("drop_ins", "threshold"), [((), 10), (("elsewhere.conf",), 15)])
def test_little_is_exposed(tmp_path: Path, drop_ins: tuple[str, ...], threshold: int) -> None:
    """D11: at most 1.0, and 1.5 with the drop-in for a relay elsewhere; the threshold is ten times that."""
    unit = unit_in(tmp_path, *drop_ins)
    ended = analyze("security", "--offline=true", f"--threshold={threshold}", "--no-pager", str(unit))
    assert ended.returncode == 0, ended.stdout[-1500:] + ended.stderr


@needs_systemd
def test_every_line_is_understood(tmp_path: Path) -> None:
    """Only that the program is missing here may be said."""
    unit_in(tmp_path)
    ended = analyze("verify", "--man=no", "--recursive-errors=no", *map(str, sorted(tmp_path.glob("triaged*.s*t"))),
                    str(tmp_path / "triaged.service"))  # fmt: skip
    said = [line for line in ended.stderr.splitlines() if line.strip()]
    assert [line for line in said if not NOT_HERE.search(line)] == []


def settings(path: Path) -> dict[str, list[str]]:
    """The lines of a unit, by key."""
    found: dict[str, list[str]] = {}
    for line in path.read_text().splitlines():
        key, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            found.setdefault(key, []).append(value)
    return found


def test_each_socket_has_the_name_of_its_door() -> None:
    names = {path.name: settings(path)["FileDescriptorName"] for path in UNITS.glob("*.socket")}
    assert names == {f"triaged-{door}.socket": [door] for door in ("http", "smtp", "lmtp")}
    assert {settings(path)["Service"][0] for path in UNITS.glob("*.socket")} == {"triaged.service"}


def test_every_drop_in_is_for_a_unit_that_exists() -> None:
    """Each says in its first lines where it is put."""
    for path in (UNITS / "drop-ins").glob("*.conf"):
        match = re.search(r"/etc/systemd/system/(triaged\S*)\.d/", path.read_text())
        assert match, path
        assert (UNITS / match[1]).is_file()
