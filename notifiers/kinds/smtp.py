"""An SMTP relay: ``smtp://[user@]host[:port]`` or ``smtps://…``.

After ``?`` may stand ``tls=none``, ``tls=starttls`` (the default: when the relay offers it) or ``tls=required``;
``verify=yes`` or ``no`` (default: yes where TLS is required); ``password_file=/path`` beside a user.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import SplitResult, parse_qsl, unquote

import aiosmtplib

from kit.text import clean_text
from notifiers.errors import BadRelay
from notifiers.spec import Handed, Outcome, Parcel, RelayUnreachable

CONNECTIONS = 4
CONNECT_TIMEOUT = 30.0  # seconds, and 60 and 600 below: see rfc5321 4.5.3.2, shorter where nothing is lost by it
COMMAND_TIMEOUT = 60.0
DATA_TIMEOUT = 600.0
#: Seconds after which a batch begins no further mail, so that its rows never outlive their lease.
PATIENCE = 60.0
REPLY_LIMIT = 4096
_TOO_LARGE = 552
_UNAVAILABLE = 421
_TLS = ("none", "starttls", "required")
_CONTROLS = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f]")
_LOST = (aiosmtplib.SMTPServerDisconnected, aiosmtplib.SMTPTimeoutError, OSError)

_Waiting = Iterator[tuple[int, Parcel]]


@dataclass(frozen=True, slots=True)
class Address:
    """Where the relay is and how it is spoken to. ``tls`` is none, starttls, required, or wrapped (smtps)."""

    host: str
    port: int
    tls: str
    verify: bool
    user: str | None = None
    password: str | None = None


class SmtpRelay:
    """Hands mails over, several connections at a time and many mails a connection."""

    def __init__(
        self, address: Address, *, sender: str, domain: str,
        connect_timeout: float = CONNECT_TIMEOUT, command_timeout: float = COMMAND_TIMEOUT,
        data_timeout: float = DATA_TIMEOUT, patience: float = PATIENCE,
    ) -> None:  # fmt: skip
        self._address = address
        self._sender = sender
        self._domain = domain
        self._connect_timeout = connect_timeout
        self._command_timeout = command_timeout
        self._data_timeout = data_timeout
        self._patience = patience
        self._winding_down = False

    async def hand_over(self, parcels: Sequence[Parcel]) -> Sequence[Handed | None]:
        """Connections share the parcels, so a slow mail holds up only its own (fault 78)."""
        results: list[Handed | None] = [None] * len(parcels)
        waiting = iter(enumerate(parcels))
        until = asyncio.get_running_loop().time() + self._patience
        lanes = [self._lane(waiting, results, until) for _ in range(min(CONNECTIONS, len(parcels)))]
        troubles = await asyncio.gather(*lanes)
        trouble = next((trouble for trouble in troubles if trouble is not None), None)
        if trouble is not None and not any(results):
            raise trouble
        return results

    def wind_down(self) -> None:
        """Begin no further mail, for good."""
        self._winding_down = True

    async def _lane(
        self, waiting: _Waiting, results: list[Handed | None], until: float
    ) -> RelayUnreachable | None:
        """One connection: mail after mail, until none waits, the time is over or the relay goes away."""
        client = self._client()
        try:
            await client.connect(timeout=self._connect_timeout)
            await _greet(client)
        except (aiosmtplib.SMTPException, OSError, ValueError) as cause:
            client.close()
            where = f"{self._address.host}:{self._address.port}"
            return RelayUnreachable(f"The relay {where} takes no connection: {_words(cause)}")
        try:
            for index, parcel in waiting:
                if parcel.ours():
                    results[index] = await self._hand(client, parcel)
                over = self._winding_down or asyncio.get_running_loop().time() > until
                if over or not client.is_connected:
                    break
        finally:
            await _leave(client)
        return None

    def _client(self) -> aiosmtplib.SMTP:
        address = self._address
        return aiosmtplib.SMTP(
            hostname=address.host, port=address.port, username=address.user, password=address.password,
            local_hostname=self._domain, timeout=self._command_timeout, use_tls=address.tls == "wrapped",
            start_tls={"none": False, "required": True, "wrapped": False}.get(address.tls),
            validate_certs=address.verify,
        )  # fmt: skip

    async def _hand(self, client: aiosmtplib.SMTP, parcel: Parcel) -> Handed | None:
        """One mail. None where the connection ended before its content was sent: that was no attempt."""
        begun = False
        try:
            await client.mail(self._sender)
            await client.rcpt(parcel.recipient)
            begun = True
            code, text = await client.data(parcel.body, timeout=self._data_timeout)
        except aiosmtplib.SMTPResponseException as refusal:
            return await _refused(client, refusal, begun=begun)
        except _LOST as cause:
            return Handed(Outcome.DELAYED, None, _words(cause)) if begun else None
        return Handed(Outcome.DELIVERED, str(code), _clean(text))


async def _greet(client: aiosmtplib.SMTP) -> None:
    """Say hello before the first mail, so that a relay that is in no mood costs no mail its life."""
    if client.is_ehlo_or_helo_needed:
        try:
            await client.ehlo()
        except aiosmtplib.SMTPHeloError:
            await client.helo()


async def _refused(
    client: aiosmtplib.SMTP, refusal: aiosmtplib.SMTPResponseException, *, begun: bool
) -> Handed | None:
    """What a refusal means for the mail; the connection is made ready for the next one."""
    if refusal.code == _UNAVAILABLE and not begun:
        return None
    try:
        await client.rset()
    except (aiosmtplib.SMTPException, OSError):
        client.close()
    return Handed(_outcome(refusal), str(refusal.code) if refusal.code > 0 else None, _clean(refusal.message))


def _outcome(refusal: aiosmtplib.SMTPResponseException) -> Outcome:
    """5xx is for good. But a refused sender is the desk's own trouble, which an operator mends; so it waits."""
    if isinstance(refusal, aiosmtplib.SMTPSenderRefused) and refusal.code != _TOO_LARGE:
        return Outcome.DELAYED
    return Outcome.FAILED if 500 <= refusal.code < 600 else Outcome.DELAYED  # noqa: PLR2004 - see rfc5321 4.2.1


async def _leave(client: aiosmtplib.SMTP) -> None:
    if client.is_connected:
        with contextlib.suppress(aiosmtplib.SMTPException, OSError):  # it has said its word on every mail
            await client.quit(timeout=5)
    client.close()


def _words(cause: Exception) -> str:
    return _clean(str(cause) or type(cause).__name__)


def _clean(text: str) -> str:
    """The relay's words, safe to keep and to show (fault 80)."""
    text = _CONTROLS.sub(" ", clean_text(text, REPLY_LIMIT)).strip()
    return text.encode()[:REPLY_LIMIT].decode(errors="ignore")


def open_relay(url: SplitResult, *, sender: str, domain: str) -> SmtpRelay:
    """The relay of an ``smtp:`` or ``smtps:`` URL."""
    return SmtpRelay(read_address(url), sender=sender, domain=domain)


def read_address(url: SplitResult) -> Address:
    """What the URL says. Raises `BadRelay` with what was expected instead."""
    options = dict(parse_qsl(url.query, keep_blank_values=True))
    unknown = sorted(options.keys() - {"tls", "verify", "password_file"})
    if unknown:
        raise BadRelay(f"relay.url has {unknown[0][:40]!r}; the known options are password_file, tls, verify.")
    if not url.hostname or url.path not in {"", "/"}:
        raise BadRelay("relay.url names no host. Write smtp://host:port.")
    tls = "wrapped" if url.scheme == "smtps" else options.get("tls", "starttls")
    if tls not in {*_TLS, "wrapped"} or options.get("verify", "yes") not in {"yes", "no"}:
        raise BadRelay(f"relay.url takes tls={'|'.join(_TLS)} and verify=yes|no.")
    verify = options.get("verify", "yes" if tls in {"required", "wrapped"} else "no") == "yes"
    port = url.port or (465 if tls == "wrapped" else 25)
    user, password = _credentials(url, options.get("password_file"), tls)
    return Address(url.hostname, port, tls, verify, user, password)


def _credentials(url: SplitResult, password_file: str | None, tls: str) -> tuple[str | None, str | None]:
    if url.password is not None:
        raise BadRelay("relay.url holds a password. Put it in a file and write ?password_file=/path.")
    if url.username is None:
        return None, None
    if password_file is None:
        raise BadRelay("relay.url names a user but no ?password_file=/path.")
    if tls in {"none", "starttls"} and url.hostname not in {"localhost", "127.0.0.1", "::1"}:
        raise BadRelay("relay.url would send a password that can be overheard. Write tls=required or smtps://.")
    try:
        return unquote(url.username), Path(password_file).read_text(encoding="utf-8").strip()
    except OSError as cause:
        raise BadRelay(f"The password_file {password_file} of relay.url: {cause.strerror}.") from cause
