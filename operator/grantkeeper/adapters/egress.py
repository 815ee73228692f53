"""Decide where this process may connect to, for a host name that somebody else chose.

Whoever may write a connector chooses a URL, and this process reaches what he may not: its own node, the cloud's metadata
service, the networks of the cluster. So a name is resolved once, every address that it has is judged, and the caller connects
to one of these very addresses: a name that is answered differently the next time (DNS rebinding) gains nothing.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from grantkeeper.errors import ProviderDistrusted, ProviderUnsent

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
_RESOLVER_THREADS = 16
_KEPT_FOR = 1.0
"""Seconds."""

_SPECIAL = {
    ip_network(network): kind
    for kind, networks in {
        "unspecified": ("0.0.0.0/8", "::/128"),
        "loopback": ("127.0.0.0/8", "::1/128"),
        "link-local": ("169.254.0.0/16", "fe80::/10"),
        "multicast": ("224.0.0.0/4", "ff00::/8"),
        "private": ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7", "fec0::/10"),
        # A public address that Azure answers from the host of the virtual machine; Oracle's lies in 192.0.0.0/24.
        "cloud metadata": ("168.63.129.16/32",),
        "reserved": (
            *("192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "240.0.0.0/4"),
            *("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20"),
        ),
    }.items()
    for network in networks
}
"""Special-purpose addresses (the IANA registries of RFC 6890), written out: what `ipaddress` calls global differs between Pythons."""

_NAT64 = ip_network("64:ff9b::/96")
_GLOBAL_UNICAST = ip_network("2000::/3")


def judge(address: Address, networks: Sequence[Network]) -> str | None:
    """Why an address is refused, in a word; None where it is a public one, or lies in one of the networks that are allowed."""
    address = _meant(address)
    if any(address in network for network in networks):
        return None
    for special, kind in _SPECIAL.items():
        if address in special:
            return kind
    if isinstance(address, IPv6Address) and address not in _GLOBAL_UNICAST:
        return "reserved"
    return None


class Resolver:
    """The system's resolver, in threads of its own: names whose servers never answer hold up no other work of the process.

    What it said is kept for a moment, as a crowd of grants that are due asks for one name; whoever asks judges the addresses anew.
    """

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(_RESOLVER_THREADS, thread_name_prefix="resolver")
        self._kept: dict[tuple[str, int], tuple[float, Sequence[str]]] = {}
        """Until when, by the event loop's clock, and the addresses."""

    async def look_up(self, host: str, port: int) -> Sequence[str]:
        """The addresses of a host, odd spellings of an address included; OSError or UnicodeError where there is none."""
        loop = asyncio.get_running_loop()
        until, addresses = self._kept.get((host, port), (0.0, ()))
        if loop.time() < until:
            return addresses
        ask = partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
        found = await loop.run_in_executor(self._threads, ask)
        addresses = [str(sockaddr[0]) for *_, sockaddr in found]
        now = loop.time()
        self._kept = {place: kept for place, kept in self._kept.items() if now < kept[0]} | {(host, port): (now + _KEPT_FOR, addresses)}
        return addresses

    def close(self) -> None:
        """Let the threads go, those that still wait as soon as they are answered."""
        self._threads.shutdown(wait=False, cancel_futures=True)


async def admit(host: str, port: int, networks: Sequence[Network], resolver: Resolver) -> tuple[str, ...]:
    """The addresses to connect to, in the resolver's order.

    ProviderDistrusted where any of them is refused, ProviderUnsent where there is none.
    """
    try:
        found = tuple(dict.fromkeys(await resolver.look_up(host, port)))
    except (OSError, UnicodeError):
        found = ()
    if not found:
        raise ProviderUnsent(f"the host name {host} does not resolve")
    for text in found:
        kind = judge(ip_address(text), networks)
        if kind is not None:
            raise ProviderDistrusted(
                f"{host} has the address {text}, which is {kind}; "
                "if that is where the server should be, list its network in GRANTKEEPER_PROVIDER_NETWORKS"
            )
    return found


def _meant(address: Address) -> Address:
    """The IPv4 address that a packet for a mapped (RFC 4291) or a NAT64 address (RFC 6052) ends at."""
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address
