"""Who this desk is, and what it signs with."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import delete, update

from kit.tokens import Purpose, Token
from store.engine import Store
from store.errors import Absent
from store.keys import load_instance, load_keyring, make_key
from store.tables.instance import instance, keys

NOW = datetime.now(UTC) + timedelta(days=1)


def test_a_new_desk_has_a_name_that_mail_can_carry(store: Store) -> None:
    with store.reading() as connection:
        found = load_instance(connection)
    assert re.fullmatch("[a-z2-7]{8}", found.id)
    assert found.first_start < NOW


def test_the_newest_key_signs_and_the_older_still_verify(store: Store) -> None:
    token = Token(Purpose.REPLY, 7, 9)
    with store.writing() as connection:
        before = load_keyring(connection)
        made = make_key(connection, NOW)
        after = load_keyring(connection)
    assert after.newest == made
    assert after.verify(before.sign(token), Purpose.REPLY, NOW) == token
    assert before.verify(after.sign(token), Purpose.REPLY, NOW) is None


def test_a_retired_key_verifies_no_more(store: Store) -> None:
    with store.writing() as connection:
        old = load_keyring(connection)
        connection.execute(update(keys).values(retired_at=1))
        make_key(connection, NOW)
        new = load_keyring(connection)
    assert new.verify(old.sign(Token(Purpose.REPLY, 7, 9)), Purpose.REPLY, NOW) is None


def test_a_desk_without_its_row_or_its_key_says_so(store: Store) -> None:
    with store.writing() as connection:
        connection.execute(delete(instance))
        connection.execute(delete(keys))
        with pytest.raises(Absent, match="no instance row"):
            load_instance(connection)
        with pytest.raises(Absent, match="no signing key"):
            load_keyring(connection)
