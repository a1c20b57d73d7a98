"""Reads the single values of `triaged.yml`: listen addresses, sizes, files, secrets."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import NamedTuple
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from kit.addresses import normal_address, parse_address
from kit.hosts import is_loopback
from kit.text import header_text
from rules.problems import Word

SHORTEST_TOKEN = 16  # characters: fewer can be guessed by somebody with time
_LARGEST_SECRET = 4096  # characters; more is another file than was meant
_SIZE = re.compile(r"([0-9]{1,9}) *(B|KiB|MiB|GiB)")
_FACTORS = {"B": 1, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3}
_LISTEN = re.compile(r"(\[[0-9a-fA-F:.]+\]|[^\[\]:\s]+):([0-9]{1,5})")
_HIGHEST_PORT = 65_535
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_FROM = re.compile(r"(.*?)\s*<([^<>]+)>")
_OTHERS_READ = 0o004


class Listen(NamedTuple):
    """Where a door listens: an address without brackets, and a port."""

    host: str
    port: int

    @property
    def loopback(self) -> bool:
        """Whether only this machine reaches it."""
        return is_loopback(self.host)

    def __str__(self) -> str:
        """As it is written."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Sender(NamedTuple):
    """Whom the desk's mails come from."""

    name: str
    address: str


class Secret:
    """What a secret file holds. It is shown nowhere: `repr` names the file."""

    __slots__ = ("path", "value")

    def __init__(self, value: str, path: Path) -> None:
        self.value = value
        self.path = path

    def __repr__(self) -> str:
        """The file, not what is in it."""
        return f"Secret({str(self.path)!r})"

    def exposed(self) -> bool:
        """Whether everybody on this machine may read the file."""
        return bool(self.path.stat().st_mode & _OTHERS_READ)


def listen(word: Word) -> Listen:
    """An address and a port such as 127.0.0.1:8080."""
    match = _LISTEN.fullmatch(word)
    if match is None or not 0 <= int(match[2]) <= _HIGHEST_PORT:
        raise ValueError(f"{word[:80]!r} is no address and port, expected one such as 127.0.0.1:8080 or [::1]:8080")
    return Listen(match[1].strip("[]"), int(match[2]))


def size(word: Word) -> int:
    """A size such as 10MiB."""
    match = _SIZE.fullmatch(word)
    if match is None or int(match[1]) == 0:
        raise ValueError(f"{word[:80]!r} is no size, expected a whole number and B, KiB, MiB or GiB, such as 10MiB")
    return int(match[1]) * _FACTORS[match[2]]


def place(word: Word) -> Path:
    """A path; one that does not begin with / is counted from the configuration's folder."""
    return _beside(word, word)


def existing_file(word: Word) -> Path:
    """A file that is there."""
    path = _as_given(place(word))
    if not path.is_file():
        raise ValueError(f"there is no file {word[:200]!r}, expected one that this user can read")
    return path


def secret(word: Word) -> Secret:
    """A file that holds a secret in its one line."""
    path = _as_given(place(word))
    try:
        value = path.read_text("utf-8").strip()
    except OSError as error:
        raise ValueError(
            f"the file {word[:200]!r} cannot be read ({error.strerror}), expected a secret in it"
        ) from None
    except UnicodeDecodeError:
        raise ValueError(f"the file {word[:200]!r} is no text, expected a secret in one line") from None
    if not value.isprintable() or " " in value or not SHORTEST_TOKEN <= len(value) <= _LARGEST_SECRET:
        raise ValueError(
            f"the file {word[:200]!r} holds no secret, expected one line of {SHORTEST_TOKEN} characters or more "
            "without spaces"
        )
    return Secret(value, path)


def web_address(word: Word) -> str:
    """A web address such as https://desk.example.com."""
    parts = urlsplit(word)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
        raise ValueError(f"{word[:80]!r} is no web address, expected one such as https://desk.example.com")
    return word.rstrip("/")


def store_url(word: Word) -> str:
    """A database such as sqlite:////var/lib/triaged/triaged.db or postgresql://triaged@db/triaged."""
    kind, mark, rest = word.partition("://")
    if not mark or kind not in {"sqlite", "postgresql"} or (kind == "sqlite" and not rest.strip("/")):
        raise ValueError(
            f"{kind[:40]!r} is no kind of database, expected sqlite:////path/to/triaged.db "
            "or postgresql://user@host/name"
        )
    if kind == "postgresql" or rest.startswith("//"):
        return str(word)
    return f"sqlite:///{_beside(word, rest.removeprefix('/'))}"


def relay_url(word: Word) -> str:
    """A relay such as smtp://127.0.0.1:25 or maildir:/path."""
    kind, _, rest = word.partition(":")
    if kind not in {"smtp", "smtps", "maildir"} or not rest.strip("/"):
        raise ValueError(f"{kind[:40]!r} is no kind of relay, expected smtp://host:25, smtps://host or maildir:/path")
    if kind != "maildir":
        return _with_password(word)
    return str(word) if rest.startswith("/") else f"maildir:{quote(str(_beside(word, unquote(rest))))}"


def _with_password(word: Word) -> str:
    """A relay's URL whose password_file is where this process reads it."""
    url, mark, query = word.partition("?")
    if "password_file=" not in query:
        return str(word)
    options = dict(parse_qsl(query, keep_blank_values=True))
    options["password_file"] = str(_as_given(_beside(word, options["password_file"])))
    return f"{url}{mark}{urlencode(options, safe='/')}"


def _beside(word: Word, path: str) -> Path:
    """A path counted from the configuration's folder."""
    return (Path(word.where.file).parent / path).absolute()


def _as_given(path: Path) -> Path:
    """The credential that the service manager made of a file, where it did; else the file itself.

    Of `secrets/prometheus.token` the line `LoadCredential=secrets:/etc/triaged/secrets` makes the credential
    `secrets_prometheus.token`, which the daemon alone reads; root reads the file, so one configuration serves both.
    """
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    given = Path(folder, f"{path.parent.name}_{path.name}") if folder else path
    return given if os.access(given, os.R_OK) else path


def domain(word: Word) -> str:
    """A domain such as example.com."""
    parsed = parse_address(f"desk@{word}")
    if parsed is None or parsed.plus is not None:
        raise ValueError(f"{word[:80]!r} is no domain, expected one such as example.com")
    return parsed.normal.partition("@")[2]


def sender(word: Word) -> Sender:
    """A name and an address such as Example IT <support@example.com>."""
    match = _FROM.fullmatch(word)
    name, address = (match[1].strip('" '), match[2]) if match else ("", str(word))
    normal = normal_address(address)
    if normal is None:
        raise ValueError(f"{word[:80]!r} is no sender, expected one such as Example IT <support@example.com>")
    return Sender(header_text(name), normal)


def short_name(word: Word) -> str:
    """A name such as prometheus: small letters, digits, and . _ - between."""
    if not _NAME.fullmatch(word):
        raise ValueError(f"{word[:80]!r} is no name, expected small letters, digits, and . _ - after the first")
    return str(word)


def framework(word: Word) -> str:
    """A framework: lean."""
    if word == "itil":
        raise ValueError("the framework itil is not in this version, expected lean")
    if word != "lean":
        raise ValueError(f"{word[:80]!r} is no framework, expected lean")
    return str(word)
