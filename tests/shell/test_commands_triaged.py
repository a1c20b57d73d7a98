"""`triaged`: what prepares a desk, tells its mistakes, and takes mail from a pipe."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import UnixSocketController
from aiosmtpd.lmtp import LMTP
from alembic.command import upgrade
from typer.testing import CliRunner, Result

from daemon import checks
from daemon.checks import ROOMS, check_rooms
from daemon.commands.submit import _recipient
from daemon.commands.triagectl import app as triagectl
from daemon.commands.triaged import app
from daemon.config import load_config
from rules.problems import Problems
from store.engine import connect_store
from store.filesystem import network_file_system
from store.keys import begin_instance
from store.migrate import configuration
from store.tables import METADATA

MAIL = b"From: kim@example.org\nTo: Desk <support@example.com>\nSubject: dark\nMessage-ID: <1@x>\n\nIt is dark.\n"


def _run(*words: str, stdin: bytes | None = None) -> Result:
    return CliRunner().invoke(app, list(words), input=stdin)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A desk as `init` writes it."""
    assert _run("init", str(tmp_path / "desk")).exit_code == 0
    return tmp_path / "desk"


def _config(folder: Path, old: str = "", new: str = "") -> str:
    path = folder / "triaged.yml"
    path.write_text(path.read_text().replace(old, new) if old else path.read_text())
    return str(path)


# ---------------------------------------------------------------------- init, check


def test_init_writes_a_desk_that_checks(tmp_path: Path) -> None:
    written = _run("init", str(tmp_path / "desk"))
    assert written.exit_code == 0
    assert "triaged check -c" in written.stdout
    checked = _run("check", "-c", str(tmp_path / "desk" / "triaged.yml"))
    assert (checked.exit_code, checked.stderr) == (0, "")
    assert "0 problems, 0 warnings" in checked.stdout
    assert "doors: http 127.0.0.1:8080, smtp 127.0.0.1:8025" in checked.stdout


def test_init_overwrites_nothing(folder: Path) -> None:
    before = (folder / "triaged.yml").read_bytes()
    again = _run("init", str(folder))
    assert again.exit_code == 1
    assert "is there already" in again.stderr
    assert (folder / "triaged.yml").read_bytes() == before
    assert _run("init", str(folder / "b"), "--framework", "itil").exit_code == 1


def test_check_tells_every_mistake_of_the_configuration_at_once(folder: Path) -> None:
    """Fault 83: with its file and line, what was expected, and exit 78."""
    config = _config(folder, "store: sqlite:///state/triaged.db", "store: oracle://db\nmetrix: {}")
    result = _run("check", "-c", config)
    assert (result.exit_code, result.stdout) == (78, "")
    assert "did you mean metrics?" in result.stderr
    assert "'oracle' is no kind of database" in result.stderr
    assert all(line.startswith(f"{config}:") for line in result.stderr.splitlines())


def test_check_tells_every_mistake_of_the_policy_at_once(folder: Path) -> None:
    people, sla = folder / "policy" / "people.yml", folder / "policy" / "sla.yml"
    people.write_text(people.read_text().replace("team: payments", "team: paymets"))
    sla.write_text("nonsense: 1\n" + sla.read_text())
    result = _run("check", "-c", _config(folder))
    assert result.exit_code == 78
    assert f"{sla}:1:" in result.stderr
    assert "did you mean payments?" in result.stderr


def test_check_warns_and_still_passes(folder: Path) -> None:
    result = _run("check", "-c", _config(folder, "http: {listen: 127.0.0.1:8080}", "http: {listen: 0.0.0.0:8080}"))
    assert result.exit_code == 0
    assert "without public_url" in result.stderr
    assert "1 warning" in result.stdout


def test_check_tells_when_the_database_belongs_to_something_else(folder: Path) -> None:
    (folder / "state").mkdir()
    (folder / "state" / "triaged.db").write_bytes(b"something else" * 100)
    result = _run("check", "-c", _config(folder))
    assert result.exit_code == 78
    assert "belongs to something else" in result.stderr


def test_check_tells_when_a_database_is_gone(folder: Path) -> None:
    config = _config(folder)
    assert _run("migrate", "-c", config).exit_code == 0
    assert _run("check", "-c", config).exit_code == 0
    (folder / "state" / "triaged.db").unlink()
    result = _run("check", "-c", config)
    assert result.exit_code == 78
    assert "remembers one" in result.stderr


@pytest.mark.parametrize(("path", "found"), [
    ("/srv/desk/triaged.db", "nfs4"), ("/var/lib/triaged.db", None), ("/mnt/a b/x.db", "cifs"),
    ("/home/x/triaged.db", "fuse.sshfs"), ("/srv/desk/local/x.db", None), ("/srv/desktop/x.db", None),
])  # fmt: skip
def test_a_network_file_system_is_found(path: str, found: str | None) -> None:
    """Guarantee G1: flushes and locks must be real."""
    mounts = (
        "/dev/sda1 / ext4 rw 0 0\nfs:/data /srv/desk nfs4 rw 0 0\n//win/share /mnt/a\\040b cifs rw 0 0\n"
        "kim@host: /home fuse.sshfs rw 0 0\n/dev/sdb1 /srv/desk/local xfs rw 0 0\nbroken\n"
    )
    assert network_file_system(Path(path), mounts) == found


def test_a_database_on_a_network_file_system_is_not_opened(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fault 94: neither by `check` nor by `serve`, which ends with 78."""
    mounts = tmp_path / "mounts"
    mounts.write_text(f"/dev/sda1 / ext4 rw 0 0\nfs:/data {folder} nfs4 rw 0 0\n")
    monkeypatch.setattr(checks, "_MOUNTS", mounts)
    for command in ("check", "serve"):
        ended = _run(command, "-c", str(folder / "triaged.yml"))
        assert ended.exit_code == 78
        assert "is on a network file system (nfs4), expected a local disk" in ended.stderr


def test_a_room_of_another_package_is_a_problem(tmp_path: Path) -> None:
    """Published packages have the names of our rooms; installing one overwrites files."""
    ours, theirs, elsewhere = Problems(), Problems(), Problems()
    check_rooms(ours, owners={room: ["triaged"] for room in ROOMS})
    check_rooms(theirs, owners={"daemon": ["python-daemon", "triaged"]})
    check_rooms(elsewhere, owners={}, home=tmp_path)
    assert ours.errors == []
    assert ["also belongs to python-daemon" in str(problem) for problem in theirs.errors] == [True]
    assert len(elsewhere.errors) == len(ROOMS)


# ---------------------------------------------------------------------- migrate


def test_migrate_makes_a_database_that_was_never_there(folder: Path) -> None:
    config = _config(folder)
    first = _run("migrate", "-c", config)
    assert first.exit_code == 0
    assert (folder / "state" / "instance").read_text().strip() in first.stdout
    assert _run("migrate", "-c", config).stdout == first.stdout


def test_migrate_makes_no_new_database_where_one_was_lost(folder: Path) -> None:
    """A disk that is not mounted must not become an empty desk."""
    config = _config(folder)
    _run("migrate", "-c", config)
    (folder / "state" / "triaged.db").unlink()
    refused = _run("migrate", "-c", config)
    assert refused.exit_code == 78
    assert "restore a backup" in refused.stderr
    assert not (folder / "state" / "triaged.db").exists()
    made = _run("migrate", "-c", config, "--create")
    assert made.exit_code == 0
    assert (folder / "state" / "instance").read_text().strip() in made.stdout


def test_migrate_keeps_an_older_file_as_it_was(folder: Path) -> None:
    """A backup beside it, which the older version restores."""
    config = _config(folder)
    _run("migrate", "-c", config)
    with closing(connect_store(f"sqlite:///{folder}/state/triaged.db")) as store, store.writing() as connection:
        for table in METADATA.sorted_tables:
            connection.exec_driver_sql(f"DROP TABLE {table.name}")
        connection.exec_driver_sql("DROP TABLE alembic_version")
        upgrade(configuration(connection), "0001")
        begin_instance(connection, schema=1, now=datetime.now(UTC))
    migrated = _run("migrate", "-c", config)
    assert migrated.exit_code == 0
    kept = folder / "state" / "triaged.db.schema-1"
    assert f"The database as it was is kept at {kept}." in migrated.stdout
    assert kept.stat().st_mode & 0o077 == 0
    assert "is kept" not in _run("migrate", "-c", config).stdout


def test_migrate_is_tried_again_where_no_database_answers(folder: Path, postgresql_server: Any) -> None:
    url = postgresql_server.url("nowhere")
    result = _run("migrate", "-c", _config(folder, "sqlite:///state/triaged.db", f'"{url}"'))
    assert result.exit_code == 75
    assert "can't be reached" in result.stderr


def test_migrate_prepares_postgresql(folder: Path, empty_postgresql_url: str) -> None:
    config = _config(folder, "sqlite:///state/triaged.db", f'"{empty_postgresql_url}"')
    assert _run("migrate", "-c", config).exit_code == 0
    checked = _run("check", "-c", config)
    assert checked.exit_code == 0
    assert "fsync=off" in checked.stderr


def test_serve_refuses_a_configuration_with_mistakes(folder: Path) -> None:
    result = _run("serve", "-c", _config(folder, "store:", "stroe:"))
    assert result.exit_code == 78
    assert "did you mean store?" in result.stderr


# ---------------------------------------------------------------------- submit


@pytest.fixture
def desk(folder: Path) -> Path:
    assert _run("migrate", "-c", _config(folder)).exit_code == 0
    return folder


def _receipts(folder: Path) -> list[dict[str, Any]]:
    said = CliRunner().invoke(triagectl, ["-c", str(folder / "triaged.yml"), "signal", "list", "--json"])
    found: list[dict[str, Any]] = json.loads(said.stdout)["items"]
    return found


def test_a_mail_on_standard_input_is_kept_once(desk: Path) -> None:
    """Guarantee G3: the same mail again is answered as success."""
    for _ in range(2):
        result = _run("submit", "-c", _config(desk), stdin=MAIL)
        assert (result.exit_code, result.output) == (0, "")
    (one,) = _receipts(desk)
    assert (one["name"], one["source"], one["state"]) == ("receipt:1", "submit", "waiting")


def test_the_source_can_be_named(desk: Path) -> None:
    assert _run("submit", "-c", _config(desk), "--source", "cron", stdin=MAIL).exit_code == 0
    assert _receipts(desk)[0]["source"] == "cron"


def test_the_recipient_is_given_or_found(desk: Path) -> None:
    """In To or Cc, folded or not, its plus part kept; else the desk's first address."""
    config = load_config(desk / "triaged.yml").config
    assert config is not None
    token = b"To: x@example.org,\n  Desk <Support+abc@example.com>\n\n"
    assert _recipient(config, token, None) == "Support+abc@example.com"
    assert _recipient(config, b"Cc: support@example.com\n\nTo: nobody@example.org\n", None) == "support@example.com"
    assert _recipient(config, b"\n\nTo: support+evil@example.com", None) == "support@example.com"
    assert _recipient(config, b"", "support+x@example.com") == "support+x@example.com"


@pytest.mark.parametrize(("words", "body", "status"), [
    (["--to", "nobody@example.org"], MAIL, 67),
    (["--to", "x%evil@support@example.com"], MAIL, 67),
    ([], b"", 65),
    ([], b"\n\n", 65),
    ([], b"Subject: big\n\n" + b"x" * (35 * 1024 * 1024), 65),
])  # fmt: skip
def test_what_can_never_be_taken_is_refused_for_good(
    desk: Path, words: list[str], body: bytes, status: int
) -> None:
    result = _run("submit", "-c", _config(desk), *words, stdin=body)
    assert (result.exit_code, result.stdout) == (status, "")
    assert result.stderr.count("\n") == 1
    assert _receipts(desk) == []


@pytest.mark.parametrize("trouble", ["missing", "foreign", "configuration"])
def test_what_is_our_trouble_is_tried_again(folder: Path, trouble: str) -> None:
    """Guarantee G2: exit 75, so that the mail server keeps the mail."""
    if trouble == "foreign":
        (folder / "state").mkdir()
        (folder / "state" / "triaged.db").write_bytes(b"something else" * 100)
    config = _config(folder, *(("store:", "stroe:") if trouble == "configuration" else ()))
    result = _run("submit", "-c", config, stdin=MAIL)
    assert result.exit_code == 75
    assert result.stderr


class Door:
    """Stands for the daemon's LMTP door: answers ``reply`` to every mail, and remembers it."""

    def __init__(self) -> None:
        self.reply = "250 kept"
        self.mails: list[tuple[str | None, list[str], bytes]] = []

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's name
        del server, session
        self.mails.append((envelope.mail_from, list(envelope.rcpt_tos), bytes(envelope.content)))
        return self.reply


@pytest.fixture
def door() -> Iterator[tuple[Door, str]]:
    """A door on a socket with a short path."""
    with tempfile.TemporaryDirectory(dir="/tmp") as short:
        handler, path = Door(), f"{short}/lmtp.sock"

        class Controller(UnixSocketController):
            def factory(self) -> LMTP:
                return LMTP(self.handler)

        controller = Controller(handler, path)
        controller.start()
        yield handler, path
        controller.stop()


def _with_lmtp(folder: Path, path: str) -> str:
    return _config(folder, "# lmtp: {listen: state/lmtp.sock}", f"lmtp: {{listen: {path}}}")


def test_a_mail_goes_through_the_daemons_door(desk: Path, door: tuple[Door, str]) -> None:
    handler, path = door
    config = _with_lmtp(desk, path)
    assert _run("submit", "-c", config, "--from", "kim@example.org", stdin=MAIL).exit_code == 0
    ((sender, recipients, content),) = handler.mails
    assert (sender, recipients) == ("kim@example.org", ["support@example.com"])
    assert content.replace(b"\r\n", b"\n") == MAIL
    assert _receipts(desk) == []


@pytest.mark.parametrize(("reply", "status"), [("451 4.3.0 later", 75), ("552 5.3.4 too big", 65)])
def test_what_the_door_says_is_passed_on(desk: Path, door: tuple[Door, str], reply: str, status: int) -> None:
    handler, path = door
    handler.reply = reply
    result = _run("submit", "-c", _with_lmtp(desk, path), stdin=MAIL)
    assert result.exit_code == status
    assert reply in result.stderr


def test_without_a_daemon_the_mail_goes_straight_into_the_store(desk: Path) -> None:
    assert _run("submit", "-c", _with_lmtp(desk, str(desk / "none.sock")), stdin=MAIL).exit_code == 0
    assert len(_receipts(desk)) == 1


# ---------------------------------------------------------------------- the programs


def _program(name: str, *words: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", f"daemon.commands.{name}", *words]
    return subprocess.run(command, input=stdin, capture_output=True, check=False, timeout=60)


def test_the_programs_run(desk: Path) -> None:
    assert _program("triaged", "--version").stdout == b"triaged 0.1.0\n"
    assert _program("triaged", "submit", "-c", _config(desk), stdin=MAIL).returncode == 0
    listed = _program("triagectl", "-c", _config(desk), "signal", "list")
    assert b"receipt:1" in listed.stdout
    assert listed.returncode == 0
    assert _program("triagectl", "-c", _config(desk), "incident", "show", "INC-9").returncode == 1


@pytest.mark.parametrize("name", ["triaged", "triagectl"])
def test_help_loads_nothing_that_it_does_not_need(name: str) -> None:
    """So `--help` is quick."""
    heavy = ("sqlalchemy", "alembic", "cel_expr_python", "aiosmtpd", "uvicorn", "psycopg", "yaml")
    script = (
        f"import sys; from daemon.commands.{name} import app; from typer.testing import CliRunner; "
        "said = CliRunner().invoke(app, ['--help']); assert said.exit_code == 0, said.output; "
        f"print([name for name in {heavy!r} if name in sys.modules])"
    )
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True, timeout=60)
    assert said.stdout == b"[]\n"


def test_a_closed_pipe_ends_a_list_quietly(shell: Any, alert: Callable[..., Any]) -> None:
    shell.post(*(alert(f"a{number}") for number in range(200)))
    shell.work()
    command = [sys.executable, "-m", "daemon.commands.triagectl", "-c", str(shell.config), "incident", "list", "--all"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as listing:
        assert listing.stdout is not None
        assert listing.stderr is not None
        listing.stdout.close()
        assert b"Traceback" not in listing.stderr.read()
