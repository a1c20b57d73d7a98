"""Who may sign in to the mail door: names and scrypt hashes in a file, one ``name:hash`` a line.

``python -m ingest.listeners.smtp_users NAME`` asks for a password and prints the line.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import sys
from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from collections.abc import Mapping
from dataclasses import dataclass
from getpass import getpass
from pathlib import Path

_COST, _BLOCK, _LANES = 2**14, 8, 1  # 16 MiB and some 50 ms a try
_MEMORY = 64 * 1024 * 1024
_SCHEME = "scrypt"


class BadUsers(Exception):
    """The file of users can't be read: expected one line `name:scrypt$cost$salt$hash` a user."""

    code = "smtp.users"
    permanent = True


@dataclass(frozen=True, slots=True)
class Secret:
    """A password's hash: cost, salt, digest."""

    cost: int
    salt: bytes
    digest: bytes

    def matches(self, password: str) -> bool:
        """Whether ``password`` is the one; takes some 50 ms, so never on the event loop."""
        return hmac.compare_digest(_digest(password, self.salt, self.cost), self.digest)


_NOBODY = Secret(_COST, bytes(16), bytes(32))


def hash_password(password: str, salt: bytes) -> str:
    """The text that stands for ``password`` in the file; ``salt`` is 16 random bytes."""
    digest = _digest(password, salt, _COST)
    return f"{_SCHEME}${_COST}${b64encode(salt).decode()}${b64encode(digest).decode()}"


def read_users(path: Path) -> dict[str, Secret]:
    """The users of a file; empty lines and lines that begin with ``#`` say nothing. Raises `BadUsers`, OSError."""
    users: dict[str, Secret] = {}
    for number, line in enumerate(path.read_text().splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        name, colon, text = line.strip().partition(":")
        try:
            scheme, cost, salt, digest = text.split("$")
            secret = Secret(int(cost), b64decode(salt, validate=True), b64decode(digest, validate=True))
        except (ValueError, NotBase64):
            scheme = ""
        if not colon or not name or scheme != _SCHEME or not _sane(secret.cost):
            raise BadUsers(f"{path}:{number}: expected `name:scrypt$cost$salt$hash`.")
        users[name] = secret
    return users


def knows(users: Mapping[str, Secret], name: str, password: str) -> bool:
    """Whether a user of that name has that password; as slow for a name that doesn't exist."""
    matches = users.get(name, _NOBODY).matches(password)
    return matches and name in users


def _sane(cost: int) -> bool:
    return 2**10 <= cost <= 2**15 and cost & (cost - 1) == 0


def _digest(password: str, salt: bytes, cost: int) -> bytes:
    return hashlib.scrypt(password.encode(), salt=salt, n=cost, r=_BLOCK, p=_LANES, maxmem=_MEMORY, dklen=32)


if __name__ == "__main__":
    sys.stdout.write(f"{sys.argv[1]}:{hash_password(getpass(), os.urandom(16))}\n")
