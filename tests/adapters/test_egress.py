# ruff: noqa: RUF001, S104  # deceptive digits and the unspecified address are what is tested
from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from datetime import timedelta
from ipaddress import ip_address, ip_network
from typing import Any

import pytest

from fakes.scripted_server import Canary, canary
from grantkeeper.adapters import egress
from grantkeeper.adapters.egress import judge
from grantkeeper.adapters.provider import Provider
from grantkeeper.errors import ProviderDistrusted, ProviderUnsent


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0", "0.1.2.3", "127.0.0.1", "127.255.255.254", "10.0.0.1", "10.255.255.255", "172.16.0.1", "172.31.255.255",
        "192.168.0.1", "100.64.0.1", "100.100.100.200", "169.254.169.254", "169.254.170.2", "168.63.129.16", "192.0.0.192",
        "192.0.2.1", "192.88.99.1", "198.18.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.255", "240.0.0.1",
        "255.255.255.255", "::", "::1", "::7f00:1", "::ffff:127.0.0.1", "::ffff:169.254.169.254", "::ffff:0:127.0.0.1",
        "64:ff9b::a9fe:a9fe", "64:ff9b::7f00:1", "64:ff9b::a00:1", "64:ff9b:1::7f00:1", "2002:7f00:1::", "2002:a9fe:a9fe::1",
        "2001:0:7f00:1::", "2001:db8::1", "3fff::1", "fe80::1", "fe80::1%eth0", "febf::1", "fec0::1", "fc00::1", "fd00:ec2::254",
        "fd20:ce::254", "ff02::1", "100::1", "5f00::1", "4000::1",
    ],
)  # fmt: skip
def test_addresses_that_are_not_public_are_refused(address: str) -> None:
    assert judge(ip_address(address), ()) is not None


@pytest.mark.parametrize(
    "address",
    ["8.8.8.8", "172.15.255.255", "172.32.0.1", "192.0.1.1", "223.255.255.255", "64:ff9b::808:808", "2606:4700::1111", "2a00::1"],
)
def test_public_addresses_are_not(address: str) -> None:
    assert judge(ip_address(address), ()) is None


@pytest.mark.parametrize(
    ("address", "network", "refused"),
    [
        pytest.param("10.1.2.3", "10.1.0.0/16", None, id="a private network that is listed"),
        pytest.param("10.2.2.3", "10.1.0.0/16", "private", id="another private network"),
        pytest.param("::ffff:10.1.2.3", "10.1.0.0/16", None, id="the same address, mapped"),
        pytest.param("64:ff9b::a9fe:a9fe", "64:ff9b::/96", "link-local", id="listing NAT64 does not list what lies behind"),
        pytest.param("fd00::1", "fd00::/8", None, id="a unique local network that is listed"),
        pytest.param("fd00::1", "10.0.0.0/8", "private", id="a network of the other family"),
    ],
)
def test_networks_that_are_listed_are_allowed(address: str, network: str, refused: str | None) -> None:
    assert judge(ip_address(address), (ip_network(network),)) == refused


SPELLINGS = [
    "127.0.0.1", "127.0.0.2", "127.1", "127.0.1", "0x7f000001", "0x7f.1", "0X7F.0x0.0x0.0x1", "2130706433", "017700000001",
    "0177.0.0.1", "0177.1", "127.0.0.01", "0", "0.0.0.0", "0x0", "localhost", "LOCALHOST", "localhost.", "[::1]", "[::]",
    "[0:0:0:0:0:0:0:1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::ffff:0:127.0.0.1]", "[::127.0.0.1]", "[64:ff9b::7f00:1]",
    "[64:ff9b::127.0.0.1]", "[2002:7f00:1::]", "[::1%25lo]", "127.0.0.1.", "１２７.0.0.1", "⑫7.0.0.1", "127。0。0。1",
    "user@127.0.0.1", "example.com@127.0.0.1", "127.0.0.1\\@example.invalid", "127.0.0.1#@example.invalid",
    "%31%32%37.0.0.1", "127.0.0.1%00.example.invalid", "",
]  # fmt: skip


@contextlib.asynccontextmanager
async def canary_on_ipv6(port: int) -> AsyncIterator[Canary]:
    """A second canary where the machine has IPv6; where it has none, nothing can connect there."""
    async with contextlib.AsyncExitStack() as stack:
        second = Canary()
        with contextlib.suppress(OSError):
            second = await stack.enter_async_context(canary("::1", port))
        yield second


@pytest.mark.parametrize("spelling", SPELLINGS)
async def test_no_spelling_of_this_machine_is_connected_to(spelling: str) -> None:
    made = Provider(())
    async with canary() as bird, canary_on_ipv6(bird.port) as second:
        with pytest.raises((ProviderDistrusted, ProviderUnsent)):
            await made.fetch(f"https://{spelling}:{bird.port}/", ca_bundle=None, timeout=timedelta(seconds=2))
        assert bird.connections + second.connections == 0
    await made.aclose()


@pytest.mark.parametrize("spelling", ["127.0.0.1", "127.1", "0x7f000001", "2130706433", "localhost"])
async def test_the_canary_would_sing(spelling: str) -> None:
    made = Provider((ip_network("127.0.0.0/8"),))
    async with canary() as bird:
        asking = asyncio.create_task(made.fetch(f"https://{spelling}:{bird.port}/", ca_bundle=None, timeout=timedelta(seconds=30)))
        while not (bird.connections or asking.done()):  # noqa: ASYNC110  # a canary only counts
            await asyncio.sleep(0.01)
        assert bird.connections == 1
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
    await made.aclose()


async def test_what_a_name_was_resolved_to_is_kept_for_a_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def resolve(host: str, port: int, **_: Any) -> list[Any]:
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (f"192.0.2.{len(asked)}", port))]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    resolver = egress.Resolver()
    try:
        assert [list(await resolver.look_up("a.test", 443)) for _ in range(2)] == [["192.0.2.1"], ["192.0.2.1"]]
        assert list(await resolver.look_up("b.test", 443)) == ["192.0.2.2"]
        monkeypatch.setattr(egress, "_KEPT_FOR", -1.0)
        assert [list(await resolver.look_up("c.test", 443)) for _ in range(2)] == [["192.0.2.3"], ["192.0.2.4"]], "the moment is over"
    finally:
        resolver.close()
