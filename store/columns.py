"""Column kinds that both databases store alike, so that a hot row is one tuple for either.

Instants are whole microseconds since 1970, spans whole seconds, documents JSON text, hashes raw bytes.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Column, Integer, LargeBinary, MetaData, SmallInteger, Text

METADATA = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

#: SQLite gives only INTEGER primary keys the row id; PostgreSQL needs BIGINT for the range.
Id = BigInteger().with_variant(Integer, "sqlite")


def ident(name: str = "id") -> Column[int]:
    """A primary key that the desk gives itself, from a counter."""
    return Column(name, Id, primary_key=True, autoincrement=False)


def whole(name: str, **kwargs: Any) -> Column[int]:
    """A whole number or the id of another row."""
    kwargs.setdefault("nullable", False)
    return Column(name, Id, **kwargs)


def small(name: str, **kwargs: Any) -> Column[int]:
    """A small count, a step, a flag (0 or 1)."""
    kwargs.setdefault("nullable", False)
    return Column(name, SmallInteger, **kwargs)


def instant(name: str, **kwargs: Any) -> Column[int]:
    """An instant: microseconds since 1970, UTC."""
    kwargs.setdefault("nullable", False)
    return Column(name, BigInteger, **kwargs)


def word(name: str, **kwargs: Any) -> Column[str]:
    """Text: a word of the vocabulary, or cleaned text from outside."""
    kwargs.setdefault("nullable", False)
    return Column(name, Text, **kwargs)


def document(name: str, **kwargs: Any) -> Column[str]:
    """One JSON document as text."""
    kwargs.setdefault("nullable", False)
    return Column(name, Text, **kwargs)


def raw(name: str, **kwargs: Any) -> Column[bytes]:
    """Bytes: a hash, a key, a compressed body."""
    kwargs.setdefault("nullable", False)
    return Column(name, LargeBinary, **kwargs)
