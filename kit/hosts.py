"""Addresses of machines: who is this machine alone, and who counts as one source."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network


def is_loopback(host: str) -> bool:
    """Whether a host, by address or name, is this machine alone.

    >>> is_loopback("127.0.0.1"), is_loopback("::ffff:127.0.0.1"), is_loopback("localhost"), is_loopback("10.0.0.1")
    (True, True, True, False)
    """
    address = _address(host)
    return host.lower() == "localhost" if address is None else address.is_loopback


def source_of(host: str) -> str:
    """Whom a peer's address stands for where connections are counted: with IPv6 whoever has one has a whole /64.

    >>> source_of("192.0.2.7"), source_of("2001:db8:1:2:aaaa::1"), source_of("::ffff:192.0.2.7")
    ('192.0.2.7', '2001:db8:1:2::/64', '192.0.2.7')
    """
    address = _address(host)
    if isinstance(address, IPv6Address):
        return str(ip_network((int(address), 64), strict=False))
    return host if address is None else str(address)


def _address(host: str) -> IPv4Address | IPv6Address | None:
    """The address, out of its IPv6 wrapping; None for a name."""
    try:
        address = ip_address(host)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
