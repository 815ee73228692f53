"""A connection is used once more only where nothing can go wrong by it: every reason not to, on real sockets."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import timedelta
from ipaddress import ip_network

import pytest
import uvloop
from pydantic import SecretStr

from fakes.scripted_server import Fault, Script, ScriptedServer, scripted_server
from grantkeeper.adapters import connections
from grantkeeper.adapters.egress import Resolver
from grantkeeper.adapters.provider import Provider
from grantkeeper.core.oauth import Request
from grantkeeper.errors import AnswerLost
from parts.certificates import CA

LOOPBACK = (ip_network("127.0.0.0/8"),)
IN_TIME = timedelta(seconds=30)
TOO_SHORT = timedelta(seconds=0.3)
"""For the answer alone: over a connection that is kept, no handshake has to be done in it."""
A_MOMENT = 0.1
"""Seconds: longer than anything on loopback takes where nothing stands still."""
KEPT_FOR = connections.KEPT_FOR


@pytest.fixture(autouse=True)
def _kept_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that one that is not used again has another reason than a machine that stood still."""
    monkeypatch.setattr(connections, "KEPT_FOR", 60.0)
    monkeypatch.setattr(connections, "_SORTED_OUT_AFTER", 60.0)


@pytest.fixture
def _kept_as_it_is(_kept_for_long: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()


class Here(Resolver):
    """Every name is this machine's."""

    async def look_up(self, host: str, port: int) -> Sequence[str]:  # noqa: ARG002  # as it says
        """Return the loopback address."""
        return ["127.0.0.1"]


@pytest.fixture
async def server(ca: CA) -> AsyncIterator[ScriptedServer]:
    async with scripted_server(*ca.issue(["provider.test", "other.test"])) as running:
        yield running


@pytest.fixture
async def provider() -> AsyncIterator[Provider]:
    made = Provider(LOOPBACK, resolver=Here())
    yield made
    await made.aclose()


async def ask(
    made: Provider,
    server: ScriptedServer,
    bundle: bytes,
    *,
    host: str = "provider.test",
    path: str = "/token",
    timeout: timedelta = IN_TIME,  # noqa: ASYNC109  # passed on
) -> bytes:
    request = Request("POST", f"https://{host}:{server.port}{path}", {}, SecretStr("grant_type=refresh_token"))
    return (await made.send(request, ca_bundle=bundle, timeout=timeout, connect_by=timeout)).body


async def settle() -> None:
    """Let everything happen that is due, also where all timers are due at once because everything stood still."""
    await asyncio.sleep(A_MOMENT)
    for _ in range(20):
        await asyncio.sleep(0)


@pytest.fixture
def bundle(ca: CA) -> bytes:
    return ca.path.read_bytes()


def body(number: int, fault: Fault = Fault.NONE, *, connection: str = "", keep_alive: str = "") -> Script:
    said = {"Connection": connection, "Keep-Alive": keep_alive}
    return Script(body=b'{"n":%d}' % number, headers={name: value for name, value in said.items() if value}, fault=fault)


def drip(number: int) -> Script:
    """An answer that takes a minute."""
    return Script(body=b'{"n":%d}' % number + b" " * 3000, fault=Fault.DRIP)


@pytest.mark.parametrize(
    "first",
    [
        pytest.param(body(1), id="an answer"),
        pytest.param(Script(299, b'{"n":1}', {}), id="an answer of an unusual kind"),
        pytest.param(body(1, keep_alive="timeout=5, max=100"), id="that it keeps connections for five seconds"),
        pytest.param(body(1, fault=Fault.DRIP), id="an answer byte by byte"),
    ],
)
async def test_what_follows_at_once_needs_no_handshake(provider: Provider, server: ScriptedServer, bundle: bytes, first: Script) -> None:
    server.answer(first, body(2))
    assert await ask(provider, server, bundle) == b'{"n":1}'
    await settle()
    assert await ask(provider, server, bundle) == b'{"n":2}'
    assert (server.connections, len(server.received)) == (1, 2)


@pytest.mark.parametrize(
    "first",
    [
        pytest.param(body(1, connection="close"), id="its server says so"),
        pytest.param(Script(body=b'{"n":1}', version="1.0"), id="its server speaks HTTP/1.0"),
        pytest.param(body(1, keep_alive="timeout=2"), id="its server ends it soon"),
        pytest.param(body(1, keep_alive='max=9,TIMEOUT = "1"'), id="its server ends it very soon"),
        pytest.param(Script(400, b'{"n":1}', {}), id="its server may have left half of the request unread"),
        pytest.param(Script(503, b'{"n":1}', {}), id="its server is ill"),
        pytest.param(
            Script(body=b'7\r\n{"n":1}\r\n0\r\n\r\n', headers={"Transfer-Encoding": "chunked"}), id="its server gives two lengths"
        ),
        pytest.param(Script(body=b'{"n":1}HTTP/1.1', headers={"Content-Length": "7"}), id="something came behind its answer"),
        pytest.param(body(1, Fault.TALK), id="something came that nobody asked for"),
        pytest.param(body(1, Fault.LEAVE), id="its server has gone"),
    ],
)
async def test_a_connection_is_not_used_again_where(provider: Provider, server: ScriptedServer, bundle: bytes, first: Script) -> None:
    server.answer(first, body(2))
    assert await ask(provider, server, bundle) == b'{"n":1}'
    await settle()
    assert await ask(provider, server, bundle) == b'{"n":2}'
    assert server.connections == 2


@pytest.mark.parametrize("fault", [Fault.CUT, Fault.CLOSE, Fault.RESET])
async def test_nothing_follows_an_answer_that_broke_off(provider: Provider, server: ScriptedServer, bundle: bytes, fault: Fault) -> None:
    server.answer(body(1, fault), body(2))
    with pytest.raises(AnswerLost):
        await ask(provider, server, bundle)
    assert await ask(provider, server, bundle) == b'{"n":2}'
    assert server.connections == 2


@pytest.mark.parametrize("late", [body(2, Fault.SILENCE), drip(2)], ids=["it never comes", "it drips"])
async def test_nothing_follows_an_answer_that_did_not_come_in_time(
    provider: Provider, server: ScriptedServer, bundle: bytes, late: Script
) -> None:
    server.answer(body(1), late, body(3))
    await ask(provider, server, bundle)
    with pytest.raises(AnswerLost):
        await ask(provider, server, bundle, timeout=TOO_SHORT)
    assert await ask(provider, server, bundle) == b'{"n":3}'
    assert server.connections == 2


async def test_an_answer_that_is_not_waited_for_is_nobody_elses(provider: Provider, server: ScriptedServer, bundle: bytes) -> None:
    with pytest.raises(asyncio.CancelledError):
        await cancel_when_asked(provider, server, bundle)
    server.answer(body(2))
    assert await ask(provider, server, bundle) == b'{"n":2}'
    with pytest.raises(asyncio.CancelledError):
        await cancel_when_asked(provider, server, bundle)
    server.answer(body(4))
    assert await ask(provider, server, bundle) == b'{"n":4}'
    assert server.connections == 3


async def cancel_when_asked(provider: Provider, server: ScriptedServer, bundle: bytes) -> None:
    """Ask, and think better of it when the request has arrived."""
    server.answer(body(3, Fault.SILENCE))
    server.arrived.clear()
    asking = asyncio.create_task(ask(provider, server, bundle))
    await server.arrived.wait()
    asking.cancel()
    await asking


async def test_two_at_once_have_one_each(provider: Provider, server: ScriptedServer, bundle: bytes) -> None:
    server.answer(body(1, Fault.DRIP))
    for _ in range(3):
        await asyncio.gather(*(ask(provider, server, bundle) for _ in range(2)))
    assert (server.connections, len(server.received)) == (2, 6)


@pytest.mark.usefixtures("_kept_as_it_is")
async def test_one_that_nobody_uses_is_ended(provider: Provider, server: ScriptedServer, bundle: bytes) -> None:
    took: list[float] = []
    while len(took) < 5 and not any(each < KEPT_FOR + 1 for each in took):  # a machine that stalls ends one of them late, not all
        begun = time.monotonic()
        await ask(provider, server, bundle)
        assert server.open == 1
        await asyncio.wait_for(server.deserted.wait(), 30)
        took.append(time.monotonic() - begun)
    assert KEPT_FOR <= min(took) < KEPT_FOR + 1


@pytest.mark.usefixtures("_kept_as_it_is")
async def test_one_is_kept_long_enough_for_what_follows_at_once(provider: Provider, server: ScriptedServer, bundle: bytes) -> None:
    while len(server.received) < 20 and server.connections == len(server.received):  # a machine may stall, but not each time
        await ask(provider, server, bundle)
        await settle()
    assert server.connections < len(server.received)


@pytest.mark.usefixtures("_kept_as_it_is")
async def test_one_that_was_kept_while_this_process_stood_still_is_not_used(
    provider: Provider, server: ScriptedServer, bundle: bytes
) -> None:
    await ask(provider, server, bundle)
    time.sleep(KEPT_FOR + 0.05)  # noqa: ASYNC251  # everything stands still, as after SIGSTOP
    await ask(provider, server, bundle)
    assert server.connections == 2


@pytest.fixture
def elsewhere(ca: CA) -> Iterator[ScriptedServer]:
    """A server that goes on while this loop does not."""
    ready, server, loop = threading.Event(), list[ScriptedServer](), uvloop.new_event_loop()

    async def serve() -> None:
        async with scripted_server(*ca.issue(["provider.test"])) as running:
            server.append(running)
            ready.set()
            await over.wait()

    over = asyncio.Event()
    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    ready.wait()
    yield server[0]
    loop.call_soon_threadsafe(over.set)
    thread.join()
    loop.close()


@pytest.mark.parametrize("fault", [Fault.TALK, Fault.LEAVE])
async def test_what_came_while_this_process_stood_still_is_no_answer(
    provider: Provider, elsewhere: ScriptedServer, bundle: bytes, fault: Fault
) -> None:
    elsewhere.answer(body(1, fault), body(2))
    assert await ask(provider, elsewhere, bundle) == b'{"n":1}'
    for _ in range(10):
        time.sleep(A_MOMENT)  # noqa: ASYNC251  # in parts: while the whole machine stands still, the server does nothing either
    assert await ask(provider, elsewhere, bundle) == b'{"n":2}'
    assert elsewhere.connections == 2


async def test_names_and_certificates_are_looked_at_again(
    provider: Provider, server: ScriptedServer, bundle: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "LASTS", A_MOMENT / 2)
    for _ in range(3):
        await ask(provider, server, bundle)
        await settle()
    assert server.connections == 3


async def test_neither_another_host_nor_another_authority_nor_another_path_vouches(
    provider: Provider, server: ScriptedServer, bundle: bytes
) -> None:
    for host, authorities, path in (
        ("provider.test", bundle, "/token"),
        ("other.test", bundle, "/token"),
        ("provider.test", bundle + b"\n", "/token"),
        ("provider.test", bundle, "/token?tenant=a"),
    ):
        await ask(provider, server, authorities, host=host, path=path)
    assert server.connections == 4
    await ask(provider, server, bundle)
    assert server.connections == 4


async def test_a_server_that_breaks_a_kept_one_is_given_new_ones_for_a_while(
    provider: Provider, server: ScriptedServer, bundle: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.answer(body(1), body(2, Fault.CLOSE), body(3))
    await ask(provider, server, bundle)
    with pytest.raises(AnswerLost):
        await ask(provider, server, bundle)
    assert server.connections == 1
    for connected in (2, 3, 4):
        assert await ask(provider, server, bundle) == b'{"n":3}'
        assert server.connections == connected
    monkeypatch.setattr(connections, "NEW_ONES_FOR", 0.0)
    for _ in range(2):
        await ask(provider, server, bundle)
    assert server.connections == 5


async def test_where_one_breaks_its_siblings_are_not_used_either(provider: Provider, server: ScriptedServer, bundle: bytes) -> None:
    server.answer(body(1), body(1), body(2, Fault.RESET), body(3))
    await asyncio.gather(*(ask(provider, server, bundle) for _ in range(2)))
    with pytest.raises(AnswerLost):
        await ask(provider, server, bundle)
    assert await ask(provider, server, bundle) == b'{"n":3}'
    assert server.connections == 3


async def test_one_that_is_of_no_use_any_more_is_ended_at_once(provider: Provider, server: ScriptedServer, bundle: bytes) -> None:
    server.answer(body(1), drip(2))
    await ask(provider, server, bundle)
    with pytest.raises(AnswerLost):
        await ask(provider, server, bundle, timeout=TOO_SHORT)
    await asyncio.wait_for(server.deserted.wait(), connections.KEPT_FOR / 2)


async def test_at_the_end_all_are_ended(server: ScriptedServer, bundle: bytes) -> None:
    made = Provider(LOOPBACK, resolver=Here())
    await ask(made, server, bundle)
    await made.aclose()
    await asyncio.wait_for(server.deserted.wait(), connections.KEPT_FOR / 2)
