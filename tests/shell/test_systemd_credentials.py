"""Secrets that the service manager hands to the daemon alone: one configuration serves it and the root user."""

from __future__ import annotations

from pathlib import Path

import pytest

from daemon.config import Config, load_config

CONFIG = """\
desk: {name: Example IT, domain: example.com}
store: sqlite:////var/lib/triaged/triaged.db
state: /var/lib/triaged
smtp: {addresses: {support@example.com: support}, users_file: secrets/users}
sources: [{name: prometheus, format: alertmanager, token_file: secrets/prometheus.token}]
relay: {url: "smtps://desk@mail.example.com:465?password_file=secrets/relay.password&verify=yes", from: it@example.com}
"""
NAMES = ("prometheus.token", "relay.password", "users")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A configuration with its secrets, and beside it what the service manager made of them."""
    (tmp_path / "triaged.yml").write_text(CONFIG)
    (tmp_path / "secrets").mkdir()
    (tmp_path / "given").mkdir()
    for name in NAMES:
        (tmp_path / "secrets" / name).write_text(f"file-of-{name}-here\n")
        (tmp_path / "given" / f"secrets_{name}").write_text(f"given-as-{name}-here\n")
    return tmp_path


def read(folder: Path) -> Config:
    loaded = load_config(folder / "triaged.yml")
    assert loaded.config is not None, loaded.problems
    return loaded.config


def test_the_daemon_reads_what_it_is_given(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`LoadCredential=secrets:/etc/triaged/secrets`: the files themselves need not be readable for it."""
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(folder / "given"))
    for name in NAMES:
        (folder / "secrets" / name).unlink()
    config = read(folder)
    assert config.sources[0].token.value == "given-as-prometheus.token-here"
    assert config.smtp is not None
    assert config.smtp.users_file == folder / "given" / "secrets_users"
    assert f"password_file={folder}/given/secrets_relay.password&verify=yes" in config.relay.url


def test_who_is_given_none_reads_the_files(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As root does for `triaged check`, and as any installation without systemd."""
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    config = read(folder)
    assert config.sources[0].token.value == "file-of-prometheus.token-here"
    assert f"password_file={folder}/secrets/relay.password" in config.relay.url


def test_what_is_not_among_the_given_is_a_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(folder / "given"))
    (folder / "given" / "secrets_prometheus.token").unlink()
    assert read(folder).sources[0].token.value == "file-of-prometheus.token-here"
