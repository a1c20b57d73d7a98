"""Keeping receipts: once each by their key, bodies of any size as they came."""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest
from sqlalchemy import delete, func, select, update

from desk.receive import Kept, Receipt
from kit.text import clean_text
from store.engine import Store, open_store
from store.errors import Absent
from store.receipts import PART_BYTES, keep_parts, keep_receipts, load_bodies, pack
from store.tables.receipts import contents, receipts

NOW = datetime(2026, 11, 23, 8, tzinfo=UTC)


def _receipt(body: bytes, key: bytes | None = None) -> Receipt:
    return Receipt("monitor", "json", NOW, {"type": "application/json", "peer": "127.0.0.1"}, body, key)


def _keep(store: Store, *kept: Receipt) -> list[Kept]:
    packed = [pack(receipt) for receipt in kept]
    with store.writing() as connection:
        return keep_receipts(connection, packed)


def _bodies(store: Store) -> list[bytes]:
    with store.reading() as connection:
        rows = connection.execute(select(receipts.c.id, receipts.c.content)).all()
        return [body for _, body in sorted(load_bodies(connection, rows).items())]


def test_ids_rise_with_arrival(store: Store) -> None:
    first = _keep(store, _receipt(b"z", b"9"), _receipt(b"a", b"1"), _receipt(b"m"))
    second = _keep(store, _receipt(b"b", b"0"))
    ids = [kept.id for kept in (*first, *second)]
    assert ids == sorted(set(ids))
    assert _bodies(store) == [b"z", b"a", b"m", b"b"]


def test_a_receipt_is_kept_as_it_came(store: Store) -> None:
    envelope = {"from": "", "to": ["desk+part@example.com"], "helo": clean_text("\x00\udc80é\u202e\\\n"), "user": None}
    [kept] = _keep(store, Receipt("mail", "mail", NOW, envelope, b"\x00\xff body", b"key"))
    with store.reading() as connection:
        row = connection.execute(select(receipts)).one()
    assert json.loads(row.envelope) == envelope
    assert (row.id, row.state, row.attempts, row.size, row.counts) == (kept.id, "waiting", 0, 7, None)
    assert _bodies(store) == [b"\x00\xff body"]


def test_a_repeat_gets_the_id_of_the_first(store: Store) -> None:
    """G3: whatever batch it comes in."""
    [first] = _keep(store, _receipt(b"body", b"key"))
    again = _keep(store, _receipt(b"new", b"new"), _receipt(b"body", b"key"))
    assert not first.repeated
    assert [kept.repeated for kept in again] == [False, True]
    assert again[1].id == first.id
    assert _bodies(store) == [b"body", b"new"]


def test_repeats_inside_one_batch_are_one_receipt(store: Store) -> None:
    kept = _keep(store, *[_receipt(b"body", b"key") for _ in range(3)])
    assert [one.repeated for one in kept] == [False, True, True]
    assert len({one.id for one in kept}) == 1
    assert _bodies(store) == [b"body"]


def test_receipts_without_a_key_never_collapse(store: Store) -> None:
    """Equal bodies are how monitors say "still so": two receipts, one content."""
    kept = _keep(store, _receipt(b"same"), _receipt(b"same"))
    assert [one.repeated for one in kept] == [False, False]
    assert _bodies(store) == [b"same", b"same"]
    with store.reading() as connection:
        assert connection.execute(select(func.count()).select_from(contents)).scalar() == 1


def test_two_batches_at_once_keep_each_key_once(postgresql_url: str) -> None:
    """Two nodes that get the same mails in opposite order: neither waits for ever, none is doubled."""
    opened = open_store(postgresql_url)
    batch = [_receipt(bytes([n]), bytes([n])) for n in range(50)]
    orders: Sequence[Sequence[Receipt]] = (batch, batch[::-1])
    with ThreadPoolExecutor(2) as threads:
        answers = list(threads.map(lambda order: _keep(opened, *order), orders))
    assert [kept.id for kept in answers[0]] == [kept.id for kept in answers[1]][::-1]
    assert sum(kept.repeated for kept in (*answers[0], *answers[1])) == 50
    opened.close()


@pytest.mark.parametrize("size", [0, 1, PART_BYTES, PART_BYTES + 1, 3 * PART_BYTES])
def test_a_body_of_any_size_comes_back_whole(store: Store, size: int) -> None:
    body = os.urandom(size)
    packed = pack(_receipt(body, b"key"))
    assert len(packed.parts) == max(1, -(-size // PART_BYTES))
    for _ in range(2):  # the sender repeats
        left = keep_parts(store, packed)
        assert len(left.parts) <= 1
        with store.writing() as connection:
            keep_receipts(connection, [left])
    assert _bodies(store) == [body]


def test_a_body_whose_parts_were_not_kept_before_is_kept_with_its_receipt(store: Store) -> None:
    body = os.urandom(PART_BYTES + 1)
    _keep(store, _receipt(body))
    assert _bodies(store) == [body]


def test_no_part_is_longer_in_one_transaction_than_an_alert_may_wait(store: Store) -> None:
    """A 35 MiB mail writes parts of 1 MiB, each in a commit of its own, before its receipt."""
    seen = []

    class Watched:
        """A store that says how many parts each commit found."""

        def writing(self) -> object:
            with store.reading() as connection:
                seen.append(connection.execute(select(func.count()).select_from(contents)).scalar())
            return store.writing()

    keep_parts(Watched(), pack(_receipt(bytes(3 * PART_BYTES))))  # type: ignore[arg-type]
    assert seen == [0, 1, 2]


def test_a_body_that_lacks_a_part_is_told(store: Store) -> None:
    [kept] = _keep(store, _receipt(b"body"))
    with store.writing() as connection:
        connection.execute(delete(contents))
    with pytest.raises(Absent, match=f"receipt {kept.id} "):
        _bodies(store)


def test_a_body_that_is_damaged_is_told(store: Store) -> None:
    [kept] = _keep(store, _receipt(b"body" * 100))
    with store.writing() as connection:
        connection.execute(update(contents).values(bytes=b"not what was kept"))
    with pytest.raises(Absent, match=f"receipt {kept.id} "):
        _bodies(store)


@pytest.mark.parametrize("body", [b"", b"said before the upgrade" * 100])
def test_a_body_kept_by_the_first_version_is_read(store: Store, body: bytes) -> None:
    """It compressed with zlib."""
    _keep(store, _receipt(body))
    with store.writing() as connection:
        connection.execute(update(contents).values(bytes=zlib.compress(body, 1)))
    assert _bodies(store) == [body]


def test_no_receipts_are_no_work(store: Store) -> None:
    assert _keep(store) == []
