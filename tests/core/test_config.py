"""`triaged.yml`: what it may say, and that every mistake in it is told at once."""

from __future__ import annotations

from datetime import UTC
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from daemon.config import Config, LoadedConfig, check_together, load_config
from daemon.example import NotWritten, write_example
from daemon.policy import read_policy
from daemon.readers import Listen, Sender

WHOLE = """\
desk: {name: Example IT, domain: Example.com, framework: lean, zone: Europe/Berlin, language: en}
store: sqlite:////var/lib/triaged/triaged.db
state: /var/lib/triaged
http: {listen: "[::1]:8080", public_url: https://desk.example.com/, max_size: 1MiB}
smtp: {listen: 127.0.0.1:8025, addresses: {Support@example.com: support, "*@example.org": support}, max_size: 35MiB}
lmtp: {listen: lmtp.sock}
trust: {authserv_id: mx.example.com}
sources:
  - {name: prometheus, format: alertmanager, token_file: one.token, group: monitors}
  - {name: pager, format: pagerduty, token_file: two.token}
relay: {url: smtp://127.0.0.1:25, from: Example IT <Support@example.com>}
policy: policy
metrics: {listen: 127.0.0.1:9090}
workers: 1
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("one", "two"):
        (tmp_path / f"{name}.token").write_text(f"secret-of-number-{name}\n")
        (tmp_path / f"{name}.token").chmod(0o600)
    return tmp_path


def load(folder: Path, *changes: tuple[str, str]) -> LoadedConfig:
    text = WHOLE
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    (folder / "triaged.yml").write_text(text)
    return load_config(folder / "triaged.yml")


def config(folder: Path, *changes: tuple[str, str]) -> Config:
    loaded = load(folder, *changes)
    assert loaded.config is not None, [str(problem) for problem in loaded.problems]
    return loaded.config


def test_a_whole_configuration_is_read(folder: Path) -> None:
    read = config(folder)
    assert (read.desk.domain, read.desk.zone) == ("example.com", ZoneInfo("Europe/Berlin"))
    assert (read.http.listen, read.http.max_size, read.public_url) == (
        Listen("::1", 8080), 1_048_576, "https://desk.example.com",
    )  # fmt: skip
    assert read.addresses == {"support@example.com": "support", "*@example.org": "support"}
    assert read.groups == {"prometheus": "monitors", "pager": "pager"}
    assert read.relay.sender == Sender("Example IT", "support@example.com")
    assert read.lmtp is not None
    assert (read.lmtp.listen, read.policy) == (folder / "lmtp.sock", folder / "policy")
    assert load(folder).warnings == []


def test_most_of_it_may_be_left_out(tmp_path: Path) -> None:
    path = tmp_path / "triaged.yml"
    path.write_text(
        "desk: {name: IT, domain: example.com}\nstore: sqlite:///desk.db\nstate: state\n"
        'relay: {url: "maildir:out going", from: it@example.com}\n'
    )
    read, problems, _ = load_config(path)
    assert problems == []
    assert read is not None
    assert (read.store, read.state) == (f"sqlite:///{tmp_path}/desk.db", tmp_path / "state")
    assert read.relay.url == f"maildir:{tmp_path}/out%20going"
    assert (read.public_url, read.addresses, read.sources) == ("http://127.0.0.1:8080", {}, ())
    assert read.desk.zone.utcoffset(None) == UTC.utcoffset(None) or read.desk.zone == ZoneInfo("UTC")


def test_a_secret_is_read_and_never_shown(folder: Path) -> None:
    read = config(folder)
    assert read.sources[0].token.value == "secret-of-number-one"
    assert "secret-of" not in repr(read)
    assert "secret-of" not in str(read)


def test_a_token_that_everybody_may_read_is_a_warning(folder: Path) -> None:
    (folder / "two.token").chmod(0o644)
    (warning,) = load(folder).warnings
    assert str(warning).startswith(f"{folder}/triaged.yml:10: sources[1]: everybody on this machine can read")


def test_links_that_would_not_work_are_a_warning(folder: Path) -> None:
    loaded = load(folder, ('listen: "[::1]:8080", public_url: https://desk.example.com/,', "listen: 0.0.0.0:8080,"))
    assert loaded.config is not None
    assert not loaded.config.http.listen.loopback
    assert "without public_url" in str(loaded.warnings[0])


@pytest.mark.parametrize(
    ("old", "new", "line", "said"),
    [
        ("zone: Europe/Berlin", "zone: Berlin", 1, "desk.zone: 'Berlin' is no time zone"),
        ("domain: Example.com", "domain: example com", 1, "desk.domain: 'example com' is no domain"),
        ("framework: lean", "framework: itil", 1, "desk.framework: the framework itil is not in this version"),
        ("framework: lean", "framework: leen", 1, "desk.framework: 'leen' is no framework, expected lean"),
        ("language: en", "language: fr", 1, "desk.language: here stands 'fr', expected one of en"),
        ("store: sqlite:", "store: mysql:", 2, "store: 'mysql' is no kind of database"),
        ("store: sqlite:////var/lib/triaged/triaged.db", "store: 'sqlite://'", 2, "store: 'sqlite' is no kind"),
        ('"[::1]:8080"', "8080", 4, "http.listen: '8080' is no address and port"),
        ('"[::1]:8080"', "127.0.0.1:80800", 4, "http.listen: '127.0.0.1:80800' is no address and port"),
        ("https://desk.example.com/", "desk.example.com", 4, "http.public_url: 'desk.example.com' is no web address"),
        ("max_size: 1MiB", "max_size: 1MB", 4, "http.max_size: '1MB' is no size, expected a whole number and B, KiB"),
        ("max_size: 1MiB", "max_size: 0B", 4, "http.max_size: '0B' is no size"),
        ("Support@example.com: support,", "support: support,", 5, "'support' is no desk address"),
        ("Support@example.com: support,", "a*@b.org: support,", 5, "'a*@b.org' is no desk address"),
        ('"*@example.org"', "support@example.com", 5, "this address stands here twice"),
        ('{Support@example.com: support, "*@example.org": support}', "{}", 5, "smtp: smtp.addresses is empty"),
        ("smtp: {", "mailboxes: [{name: a}]\nsmtp: {", 5, "'mailboxes' (mailboxes read by IMAP) is not in"),
        ("smtp: {", "alertmanagers: []\nsmtp: {", 5, "'alertmanagers' (Alertmanagers that are asked) is"),
        ("smtp: {", "channels: []\nsmtp: {", 5, "channels: 'channels' (channels beside mail) is not in this version"),
        ("smtp: {", "smpt: {", 5, "smpt: 'smpt' is no key here, did you mean smtp?"),
        ("name: prometheus", "name: Prom etheus", 9, "sources[0].name: 'Prom etheus' is no name"),
        ("format: alertmanager", "format: grafana", 9, "sources[0].format: here stands 'grafana', expected one of"),
        ("group: monitors", "mapping: mine", 9, "sources[0].mapping: 'mapping' (mappings of your own) is not in this"),
        ("one.token", "three.token", 9, "sources[0].token_file: the file 'three.token' cannot be read (No such file"),
        ("one.token", "short.token", 9, "sources[0].token_file: the file 'short.token' holds no secret"),
        ("one.token", "raw.token", 9, "sources[0].token_file: the file 'raw.token' is no text"),
        ("two.token", "one.token", 10, "sources[1]: it has the token of 'prometheus', expected a token of its own"),
        ("name: pager,", "name: prometheus,", 10, "sources[1]: two sources are called 'prometheus'"),
        ("smtp://127", "http://127", 11, "relay.url: 'http' is no kind of relay"),
        ("from: Example IT <Support@example.com>", "from: Example IT", 11, "relay.from: 'Example IT' is no sender"),
        ("workers: 1", "workers: 0", 1, "workers is 0, expected at least 1"),
        ("workers: 1", "workers: many", 14, "workers: 'many' is no whole number"),
        ("state: /var/lib/triaged\n", "", 1, "'state' is missing"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_at_its_line(folder: Path, old: str, new: str, line: int, said: str) -> None:
    """Fault 83."""
    (folder / "short.token").write_text("abc")
    (folder / "raw.token").write_bytes(b"\xff" * 20)
    loaded = load(folder, (old, new))
    assert loaded.config is None
    told = [str(problem) for problem in loaded.problems]
    assert any(problem.startswith(f"{folder}/triaged.yml:{line}: ") and said in problem for problem in told), told


def test_all_mistakes_are_told_at_once(folder: Path) -> None:
    """Fault 83."""
    loaded = load(folder, ("lean", "lan"), ("1MiB", "1"), ("one.token", "no.token"), ("workers: 1", "workers: x"))
    assert [problem.where.line for problem in loaded.problems] == [1, 4, 9, 14]


@pytest.mark.parametrize("content", [b"", b"# nothing\n", b"\xff\xfe", b"- a list\n", b"desk: [\n"])
def test_what_is_no_configuration_is_told(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "triaged.yml"
    path.write_bytes(content)
    assert load_config(path).config is None
    assert load_config(path).problems


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    (problem,) = load_config(tmp_path / "none.yml").problems
    assert "cannot be read: No such file or directory; `triaged init` writes one" in str(problem)


def test_mailboxes_of_the_configuration_are_those_of_the_policy(folder: Path) -> None:
    """The nearest name is told."""
    read = config(folder, ("Support@example.com: support", "Support@example.com: suport"))
    policy = read_policy(None, framework="lean", zone=read.desk.zone).policy
    assert policy is not None
    (problem,) = check_together(read, policy)
    assert "mailboxes.yml has no 'suport', did you mean support?" in str(problem)


def test_the_desk_writes_to_none_of_its_own_addresses(folder: Path) -> None:
    """G8: mail to itself would go round for ever."""
    read = config(folder, ("Support@example.com: support", "Ana@example.com: support"))
    policy = read_policy(None, framework="lean", zone=read.desk.zone).policy
    assert policy is not None
    (problem,) = check_together(read, policy)
    assert "the policy tells ana at this address of the desk's own" in str(problem)


def test_the_example_is_without_problems(tmp_path: Path) -> None:
    """`triaged init` writes what `triaged check` has nothing to say of."""
    write_example(tmp_path / "desk")
    read, problems, warnings = load_config(tmp_path / "desk" / "triaged.yml")
    assert (problems, warnings) == ([], [])
    assert read is not None
    loaded = read_policy(read.policy, framework=read.desk.framework, zone=read.desk.zone)
    assert loaded.policy is not None
    assert check_together(read, loaded.policy) == []
    assert read.sources[0].token.value != read.sources[1].token.value


def test_the_example_overwrites_nothing(tmp_path: Path) -> None:
    write_example(tmp_path)
    before = (tmp_path / "triaged.yml").read_text()
    with pytest.raises(NotWritten, match=r"triaged\.yml is there already"):
        write_example(tmp_path)
    assert (tmp_path / "triaged.yml").read_text() == before


@pytest.mark.parametrize("framework", ["itil", "../lean"])
def test_a_framework_that_is_not_here_is_refused(tmp_path: Path, framework: str) -> None:
    with pytest.raises(NotWritten, match="lean"):
        write_example(tmp_path / "desk", framework=framework)
    assert not (tmp_path / "desk").exists()


def test_a_file_of_the_folder_stands_for_the_packs(tmp_path: Path) -> None:
    """The folder holds only what differs."""
    (tmp_path / "routing.yml").write_text(
        "first match:\n  - {rule: all to tier three, because: so be it, set: {start_tier: 3}}\n"
    )
    loaded = read_policy(tmp_path, framework="lean", zone=ZoneInfo("UTC"))
    assert loaded.policy is not None
    pack = read_policy(None, framework="lean", zone=ZoneInfo("UTC")).policy
    assert pack is not None
    assert loaded.policy.version != pack.version


def test_a_policy_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    loaded = read_policy(tmp_path / "none", framework="lean", zone=ZoneInfo("UTC"))
    assert loaded.policy is None
    assert "there is no such folder" in str(loaded.problems[0])


def test_a_policy_file_that_is_no_text_is_told(tmp_path: Path) -> None:
    (tmp_path / "sla.yml").write_bytes(b"\xff\xfe")
    loaded = read_policy(tmp_path, framework="lean", zone=ZoneInfo("UTC"))
    assert loaded.policy is None
    assert "this is no text in UTF-8" in str(loaded.problems[0])
