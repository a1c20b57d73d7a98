"""``triaged submit``: one mail on standard input into the inbox, for aliases and pipes of a mail server."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from daemon.commands.refusals import complain
from daemon.commands.registering import (
    DATA,
    DEFAULT_CONFIG,
    NO_USER,
    TRY_AGAIN,
    USAGE,
    ConfigOption,
    add_command,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from daemon.config import Config

_UNTIL_HERE = 262_144  # bytes of a header block that are looked at for a recipient
_FIRST_PERMANENT = 500
_ADDRESS = re.compile(r"[^\s<>()\[\],;:\"]+@[^\s<>()\[\],;:\"]+")


def submit(
    config: ConfigOption = DEFAULT_CONFIG,
    source: Annotated[
        str | None,
        typer.Option(
            "--source", metavar="NAME", show_default=False,
            help="Name the source yourself; such a mail goes straight into the store.",
        ),
    ] = None,
    to: Annotated[
        str | None,
        typer.Option(
            "--to", metavar="ADDRESS", show_default=False,
            help="The desk address that it came to; else the first in To or Cc, else the desk's first.",
        ),
    ] = None,
    sender: Annotated[
        str | None,
        typer.Option(
            "--from", metavar="ADDRESS", show_default=False, help="The envelope's sender; else Return-Path, else none."
        ),
    ] = None,
) -> None:  # fmt: skip
    """Take one mail (RFC 5322) from standard input.

    It goes through the daemon's LMTP socket, else straight into the store. Exit 0: it is kept. 75: try again later.
    65: this is no mail, or too big. 67: that is no address of this desk. 64: it is not clear which address is meant.
    """
    try:
        _submit(config, source=source, to=to, sender=sender)
    except typer.Exit:
        raise
    except Exception as error:  # noqa: BLE001 - a fault of ours must not make the mail server bounce the mail
        _refuse(f"A fault of triaged, {type(error).__name__}: the mail was not taken.", TRY_AGAIN)


def _submit(config: Path, *, source: str | None, to: str | None, sender: str | None) -> None:
    settings = _read_config(config)
    body = sys.stdin.buffer.read(_most(settings) + 1)
    if not body.strip():
        _refuse("Standard input is empty; expected a mail.", DATA)
    if len(body) > _most(settings):
        _refuse(f"The mail is larger than {_most(settings)} bytes, which smtp.max_size allows.", DATA)
    address = _recipient(settings, body, to)
    origin = sender if sender is not None else next(_addresses(body, "return-path"), "")
    if source is None and settings.lmtp is not None and _by_socket(settings.lmtp.listen, body, origin, address):
        return
    _into_store(settings, body, source=source or "submit", origin=origin, address=address)


def _refuse(sentence: str, status: int) -> NoReturn:
    complain(sentence)
    raise typer.Exit(status)


def _most(config: Config) -> int:
    from daemon.config import MIB

    return config.smtp.max_size if config.smtp is not None else 35 * MIB


def _read_config(path: Path) -> Config:
    """The configuration; with mistakes in it the mail waits at the mail server until they are mended."""
    from daemon.commands.refusals import complain_all
    from daemon.config import load_config

    loaded = load_config(path)
    if loaded.config is None:
        complain_all(loaded.problems)
        raise typer.Exit(TRY_AGAIN)
    return loaded.config


# ---------------------------------------------------------------------- to whom


def _recipient(config: Config, body: bytes, to: str | None) -> str:
    """The desk address that is meant."""
    from kit.addresses import parse_address

    if to is not None:
        parsed = parse_address(to)
        if parsed is None or _mailbox(config, parsed.normal) is None:
            _refuse(f"{to!r} is no address of this desk; it has {', '.join(config.addresses) or 'none'}.", NO_USER)
        return to
    for address in _addresses(body, "to", "cc"):
        parsed = parse_address(address)
        if parsed is not None and _mailbox(config, parsed.normal) is not None:
            return address
    first = next((address for address in config.addresses if not address.startswith("*")), None)
    if first is None:
        _refuse("The desk has no address of its own to take it for; say which with --to.", USAGE)
    return first


def _mailbox(config: Config, normal: str) -> str | None:
    known = config.addresses
    return known.get(normal) or known.get(f"*@{normal.rpartition('@')[2]}")


def _addresses(body: bytes, *fields: str) -> Iterator[str]:
    """What looks like an address in some header fields: a scan, for nothing is parsed before it is kept."""
    lines = body[:_UNTIL_HERE].decode("ascii", "replace").splitlines()
    inside = False
    for line in lines:
        if not line:
            return
        if not line.startswith((" ", "\t")):
            inside = line.partition(":")[0].strip().lower() in fields
        if inside:
            yield from _ADDRESS.findall(line)


# ---------------------------------------------------------------------- in


def _by_socket(socket: Path, body: bytes, origin: str, address: str) -> bool:
    """Hand it to the daemon; False when no daemon listens there."""
    import smtplib

    try:
        with smtplib.LMTP(str(socket)) as door:
            door.sendmail(origin, [address], body.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n"))
    except smtplib.SMTPResponseException as error:
        _answered(error.smtp_code, error.smtp_error)
    except smtplib.SMTPRecipientsRefused as error:
        _answered(*error.recipients[address])
    except smtplib.SMTPException as error:
        _refuse(f"The daemon did not take it: {error}.", TRY_AGAIN)
    except OSError:
        return False
    return True


def _answered(code: int, said: bytes | str) -> NoReturn:
    words = said.decode("utf-8", "replace") if isinstance(said, bytes) else said
    _refuse(f"The daemon answered {code} {words}", DATA if code >= _FIRST_PERMANENT else TRY_AGAIN)


def _into_store(config: Config, body: bytes, *, source: str, origin: str, address: str) -> None:
    from daemon.clock import utc_now
    from daemon.commands.session import os_user
    from desk.receive import Receipt, mail_receipt_key
    from kit.addresses import parse_address
    from kit.text import header_text
    from store.engine import open_store
    from store.errors import StoreError
    from store.receipts import keep_parts, keep_receipts, pack

    parsed = parse_address(address)
    assert parsed is not None
    envelope = {
        "from": header_text(origin, 254), "to": [address], "peer": "", "helo": "", "tls": False, "user": os_user(),
        "mailbox": _mailbox(config, parsed.normal),
    }  # fmt: skip
    key = mail_receipt_key(body, [parsed.normal])
    packed = pack(Receipt(header_text(source, 64), "mail", utc_now(), envelope, body, key))
    try:
        store = open_store(config.store)
        try:
            packed = keep_parts(store, packed)
            with store.writing() as connection:
                keep_receipts(connection, [packed])
        finally:
            store.close()
    except StoreError as error:
        _refuse(str(error), TRY_AGAIN)


def register(app: typer.Typer) -> None:
    """Make it a command."""
    add_command(
        app, "submit", submit,
        examples=["triaged submit -c /etc/triaged/triaged.yml < mail.eml", "triaged submit --to support@example.com"],
    )  # fmt: skip
