"""Who this desk is, and the keys that its tokens are signed with: made once, with the database."""

from __future__ import annotations

import base64
import secrets
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, delete, insert, select, update

from kit.instants import from_micros, to_micros
from kit.tokens import Keyring
from store.errors import Absent
from store.tables.instance import instance, keys

_KEY_BYTES = 32
_TOKEN = "token"  # noqa: S105 - the purpose of a key, no secret


@dataclass(frozen=True, slots=True)
class Instance:
    """This desk: 8 characters of lower-case base32 that no other desk has, and when it first started."""

    id: str
    first_start: datetime


def begin_instance(connection: Connection, *, schema: int, now: datetime) -> None:
    """Name a new desk and make its first key."""
    connection.execute(insert(instance).values(one=1, id=_new_name(), schema=schema, first_start=to_micros(now)))
    make_key(connection, now)


def rename_instance(connection: Connection, now: datetime) -> None:
    """Make another desk of a copy, which no token of the original opens."""
    connection.execute(update(instance).values(id=_new_name(), first_start=to_micros(now)))
    connection.execute(delete(keys))
    make_key(connection, now)


def _new_name() -> str:
    return base64.b32encode(secrets.token_bytes(5)).decode().lower()


def load_instance(connection: Connection) -> Instance:
    """Who this desk is."""
    row = connection.execute(select(instance.c.id, instance.c.first_start)).one_or_none()
    if row is None:
        raise Absent("The database has no instance row; run `triaged migrate`.")
    return Instance(row.id, from_micros(row.first_start))


def make_key(connection: Connection, now: datetime) -> int:
    """Make a key that signs from now on; the older ones still verify. Its id."""
    used = set(connection.execute(select(keys.c.id)).scalars())
    number = next((number for number in range(256) if number not in used), None)
    if number is None:
        raise Absent("All 256 key ids are in use; delete a retired key first.")
    row = {"id": number, "purpose": _TOKEN, "secret": secrets.token_bytes(_KEY_BYTES), "made_at": to_micros(now)}
    connection.execute(insert(keys).values(row))
    return number


def load_keyring(connection: Connection) -> Keyring:
    """All keys that are not retired; the newest signs."""
    query = select(keys.c.id, keys.c.secret).where(keys.c.purpose == _TOKEN, keys.c.retired_at.is_(None))
    rows = connection.execute(query.order_by(keys.c.made_at, keys.c.id)).all()
    if not rows:
        raise Absent("The database has no signing key; run `triaged migrate`.")
    return Keyring({row.id: row.secret for row in rows}, rows[-1].id)
