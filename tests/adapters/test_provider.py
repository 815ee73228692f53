from __future__ import annotations

import asyncio
import gzip
import socket
import ssl
import time
import tracemalloc
import zlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from fakes.scripted_server import Fault, Script, ScriptedServer, canary, scripted_server
from grantkeeper.adapters import connections, trust
from grantkeeper.adapters.bodies import LIMIT
from grantkeeper.adapters.egress import Resolver
from grantkeeper.adapters.provider import Provider
from grantkeeper.core.oauth import Answer, Request
from grantkeeper.errors import AnswerLost, ProviderDistrusted, ProviderUnsent
from parts.certificates import CA, make_ca
from parts.processes import free_port

LOOPBACK = (ip_network("127.0.0.0/8"), ip_network("::1/128"))
IN_TIME = timedelta(seconds=30)
AT_ONCE = timedelta(seconds=0.5)
SECRET = "canary-of-a-refresh-token"
BOMB = gzip.compress(bytes(20_000_000))


@dataclass
class Book(Resolver):
    """Looks names up in a list, one entry a question; the last entry stays."""

    answers: list[Sequence[str]]
    asked: int = 0

    async def look_up(self, host: str, port: int) -> Sequence[str]:  # noqa: ARG002  # every name is the one that is asked for
        """Return the next entry."""
        self.asked += 1
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]

    def close(self) -> None:
        """There are no threads."""


@pytest.fixture
async def server(ca: CA) -> AsyncIterator[ScriptedServer]:
    async with scripted_server(*ca.issue(["localhost", "provider.test", "127.0.0.1"])) as running:
        yield running


@pytest.fixture
async def provider() -> AsyncIterator[Provider]:
    made = Provider(LOOPBACK)
    yield made
    await made.aclose()


@pytest.fixture
async def acquainted(server: ScriptedServer, ca: CA, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Provider]:
    """One that has a connection already: what is too short for an answer would else be too short for a handshake, on a slow machine."""
    monkeypatch.setattr(connections, "KEPT_FOR", 60.0)
    made = Provider(LOOPBACK, resolver=Book([["127.0.0.1"]]))
    await send(made, post(server.port), ca)
    server.received.clear()
    yield made
    assert server.connections == 1
    await made.aclose()


def post(port: int, *, host: str = "127.0.0.1", path: str = "/token") -> Request:
    headers: dict[str, SecretStr | str] = {
        "Content-Type": "application/x-www-form-urlencoded",
        "Accept": "application/json",
        "Authorization": SecretStr("Basic YTpi"),
    }
    return Request("POST", f"https://{host}:{port}{path}", headers, SecretStr(f"grant_type=refresh_token&refresh_token={SECRET}"))


async def send(
    made: Provider,
    request: Request,
    ca: CA | None,
    *,
    timeout: timedelta = IN_TIME,  # noqa: ASYNC109  # passed on
    connect_by: timedelta = IN_TIME,
) -> Answer:
    bundle = ca.path.read_bytes() if ca else None
    return await made.send(request, ca_bundle=bundle, timeout=timeout, connect_by=connect_by)


async def test_a_request_arrives_once_and_its_answer_comes_back(provider: Provider, server: ScriptedServer, ca: CA) -> None:
    server.answer(Script(503, b'{"error":"x"}', {"Content-Type": "application/json", "Retry-After": "7", "Date": "now"}))
    answer = await send(provider, post(server.port, path="/token?tenant=a"), ca)
    assert answer == Answer(503, "application/json", "7", b'{"error":"x"}', "now")
    (received,) = server.received
    assert (received.method, received.target, received.body) == (
        "POST",
        "/token?tenant=a",
        f"grant_type=refresh_token&refresh_token={SECRET}".encode(),
    )
    assert received.headers == {
        "host": f"127.0.0.1:{server.port}",
        "content-type": "application/x-www-form-urlencoded",
        "accept": "application/json",
        "authorization": "Basic YTpi",
        "user-agent": "grantkeeper",
        "accept-encoding": "identity",
        "content-length": str(len(received.body)),
    }


async def test_a_document_is_fetched_without_credentials(provider: Provider, server: ScriptedServer, ca: CA) -> None:
    server.answer(Script(body=b'{"issuer":"i"}'))
    url = f"https://127.0.0.1:{server.port}/.well-known/openid-configuration"
    answer = await provider.fetch(url, ca_bundle=ca.path.read_bytes(), timeout=IN_TIME)
    assert answer.body == b'{"issuer":"i"}'
    (received,) = server.received
    assert (received.method, received.headers["accept"], received.body) == ("GET", "application/json", b"")
    assert "authorization" not in received.headers


async def test_cookies_are_not_kept(provider: Provider, server: ScriptedServer, ca: CA) -> None:
    server.answer(Script(headers={"Set-Cookie": "session=1; Path=/"}))
    for _ in range(2):
        await send(provider, post(server.port), ca)
    assert "cookie" not in server.received[1].headers


async def test_redirects_are_answers_and_are_not_followed(provider: Provider, server: ScriptedServer, ca: CA) -> None:
    async with canary() as bird:
        server.answer(Script(307, b"", {"Location": f"https://127.0.0.1:{bird.port}/token"}))
        assert (await send(provider, post(server.port), ca)).status == 307
        assert (len(server.received), bird.connections) == (1, 0)


async def test_proxies_in_the_environment_are_not_used(
    provider: Provider, server: ScriptedServer, ca: CA, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with canary() as bird:
        for name in ("HTTPS_PROXY", "ALL_PROXY", "https_proxy", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{bird.port}")
        assert (await send(provider, post(server.port), ca)).status == 200
        assert bird.connections == 0


async def test_session_keys_are_not_written_to_a_file(
    provider: Provider, server: ScriptedServer, ca: CA, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "keys"))
    trust.context.cache_clear()
    await send(provider, post(server.port), ca)
    assert not (tmp_path / "keys").exists()


@pytest.mark.parametrize(
    ("script", "message"),
    [
        pytest.param(Script(fault=Fault.RESET), "broke off", id="reset after the request"),
        pytest.param(Script(fault=Fault.CLOSE), "broke off", id="closed before an answer"),
        pytest.param(Script(fault=Fault.CUT, body=b"x" * 500), "broke off", id="half an answer"),
        pytest.param(Script(fault=Fault.ENDLESS, body=b"x" * 4096), "longer than 64 KiB", id="an answer without end"),
        pytest.param(Script(body=b"x" * (LIMIT + 1)), "longer than 64 KiB", id="a byte too many"),
        pytest.param(Script(headers={"X": "y" * 200_000}), "broke off", id="a header of 200,000 letters"),
        pytest.param(Script(headers={f"X-{n}": "y" for n in range(20_000)}), "broke off", id="20,000 headers"),
        pytest.param(Script(headers={"Bad Header": "y"}), "broke off", id="no HTTP"),
        pytest.param(Script(body=BOMB, headers={"Content-Encoding": "gzip"}), "longer than 64 KiB", id="a gzip bomb"),
        pytest.param(
            Script(body=gzip.compress(b"{}")[:-6], headers={"Content-Encoding": "gzip"}), "compressed, and cut off", id="half a gzip"
        ),
        pytest.param(Script(body=b"{}", headers={"Content-Encoding": "gzip"}), "compressed, and damaged", id="gzip that is none"),
        pytest.param(Script(headers={"Content-Encoding": "br"}), "compressed in a way", id="brotli"),
    ],
)
async def test_what_was_sent_and_not_answered_is_lost(
    provider: Provider, server: ScriptedServer, ca: CA, script: Script, message: str
) -> None:
    server.answer(script)
    with pytest.raises(AnswerLost, match=message) as caught:
        await send(provider, post(server.port), ca)
    assert len(server.received) == 1, "presented once"
    assert SECRET not in repr(caught.value)


@pytest.mark.parametrize(
    "script",
    [
        pytest.param(Script(fault=Fault.SILENCE), id="no answer"),
        pytest.param(Script(fault=Fault.DRIP, body=b"x" * 1000), id="an answer that drips past the deadline"),
    ],
)
async def test_what_was_sent_and_not_answered_in_time_is_lost(acquainted: Provider, server: ScriptedServer, ca: CA, script: Script) -> None:
    server.answer(script)
    clock = asyncio.get_running_loop().time
    begun = clock()
    with pytest.raises(AnswerLost, match="did not answer in time") as caught:
        await send(acquainted, post(server.port), ca, timeout=AT_ONCE)
    assert 0.4 < clock() - begun < 15, "the deadline holds for all of an answer"
    assert len(server.received) == 1, "presented once"
    assert SECRET not in repr(caught.value)


@pytest.mark.parametrize(
    ("coding", "body"),
    [
        pytest.param("identity", b"{}", id="as it was asked for"),
        pytest.param("gzip", gzip.compress(b"{}"), id="gzip, although identity was asked for"),
        pytest.param("deflate", zlib.compress(b"{}"), id="deflate, although identity was asked for"),
    ],
)
async def test_bodies_are_decoded(provider: Provider, server: ScriptedServer, ca: CA, coding: str, body: bytes) -> None:
    server.answer(Script(body=body, headers={"Content-Encoding": coding}))
    assert (await send(provider, post(server.port), ca)).body == b"{}"


async def test_the_longest_body_arrives(provider: Provider, server: ScriptedServer, ca: CA) -> None:
    server.answer(Script(body=b"x" * LIMIT))
    assert len((await send(provider, post(server.port), ca)).body) == LIMIT


async def test_a_slow_answer_is_waited_for_longer_than_a_connection(acquainted: Provider, server: ScriptedServer, ca: CA) -> None:
    server.answer(Script(fault=Fault.DRIP))
    assert (await send(acquainted, post(server.port), ca, connect_by=AT_ONCE)).body == b"{}"


async def test_that_all_is_sent_is_told_before_the_answer_is_there(acquainted: Provider, server: ScriptedServer, ca: CA) -> None:
    told: list[str] = []
    server.answer(Script(fault=Fault.SILENCE))
    with pytest.raises(AnswerLost):
        await acquainted.send(post(server.port), ca_bundle=ca.path.read_bytes(), timeout=AT_ONCE, sent=lambda: told.append("sent"))
    assert told == ["sent"]


async def test_a_gzip_bomb_takes_no_memory(provider: Provider, server: ScriptedServer, ca: CA) -> None:
    server.answer(Script(body=BOMB, headers={"Content-Encoding": "gzip"}))
    tracemalloc.start()
    try:
        with pytest.raises(AnswerLost):
            await send(provider, post(server.port), ca)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 5_000_000


@pytest.mark.parametrize("late", [0, 1], ids=["all of it", "but for its end"])
async def test_an_answer_that_came_while_this_process_did_not_run_is_read(
    acquainted: Provider, server: ScriptedServer, ca: CA, monkeypatch: pytest.MonkeyPatch, late: int
) -> None:
    async def write_and_be_stopped(writer: asyncio.StreamWriter, data: bytes) -> None:
        writer.write(data[: len(data) - late])
        time.sleep(2)  # noqa: ASYNC251  # everything stands still, as after SIGSTOP
        await asyncio.sleep(0.1)
        writer.write(data[len(data) - late :])

    monkeypatch.setattr("fakes.scripted_server._write", write_and_be_stopped)
    assert (await send(acquainted, post(server.port), ca, timeout=AT_ONCE)).body == b"{}"


async def test_nobody_listens_so_nothing_was_sent(provider: Provider, ca: CA) -> None:
    with pytest.raises(ProviderUnsent, match=r"accepted no connection$"):
        await send(provider, post(free_port()), ca)


async def test_a_handshake_that_never_ends_sends_nothing(ca: CA) -> None:
    async with canary() as bird, asyncio.timeout(20):
        with pytest.raises(ProviderUnsent, match="accepted no connection in time"):
            await send(Provider(LOOPBACK, resolver=Book([["127.0.0.1"]])), post(bird.port), ca, timeout=AT_ONCE)
        while not bird.connections:  # noqa: ASYNC110  # a canary only counts
            await asyncio.sleep(0.01)
        assert bird.connections == 1


@pytest.mark.parametrize("is_cancelled", [False, True], ids=["too late", "given up"])
async def test_a_handshake_that_is_not_waited_for_leaves_no_connection(ca: CA, is_cancelled: bool) -> None:
    made, within = Provider(LOOPBACK, resolver=Book([["127.0.0.1"]])), IN_TIME if is_cancelled else AT_ONCE
    begun, ended = asyncio.Event(), asyncio.Event()

    async def read(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        begun.set()
        while await reader.read(1024):
            pass
        writer.close()
        ended.set()

    async with await asyncio.start_server(read, "127.0.0.1", 0) as silent:
        request = asyncio.create_task(send(made, post(silent.sockets[0].getsockname()[1]), ca, timeout=within))
        await begun.wait()
        if is_cancelled:
            request.cancel()
        with pytest.raises(asyncio.CancelledError if is_cancelled else ProviderUnsent):
            await request
        await asyncio.wait_for(ended.wait(), 20)


@pytest.mark.parametrize("token", ["two\r\nlines", "日本"], ids=["a line end", "no ASCII"])
async def test_what_http_has_no_place_for_is_not_sent(provider: Provider, server: ScriptedServer, ca: CA, token: str) -> None:
    headers = {"Authorization": SecretStr(f"Bearer {token}")}
    with pytest.raises(ProviderUnsent, match="letters that HTTP has no place for") as caught:
        await send(provider, Request("GET", f"https://127.0.0.1:{server.port}/userinfo", headers, SecretStr("")), ca)
    assert token not in repr(caught.value)
    assert server.received == []


async def test_an_answer_that_is_announced_and_comes_in_parts_is_read(provider: Provider, server: ScriptedServer, ca: CA) -> None:
    parts = b"HTTP/1.1 200 Yes\r\nContent-Type: a\r\nContent-Type: b\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"
    server.answer(Script(100, parts, {}))
    answer = await send(provider, post(server.port), ca)
    assert (answer.status, answer.content_type, answer.body) == (200, "a, b", b"{}")


async def test_a_handshake_that_is_cut_off_sends_nothing(provider: Provider, ca: CA) -> None:
    server = await asyncio.start_server(lambda _, writer: writer.transport.abort(), "127.0.0.1", 0)
    async with server:
        with pytest.raises(ProviderUnsent):
            await send(provider, post(server.sockets[0].getsockname()[1]), ca)


async def test_a_server_without_tls_is_distrusted(provider: Provider, ca: CA) -> None:
    async def speak(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(speak, "127.0.0.1", 0) as server:
        with pytest.raises(ProviderDistrusted, match="does not speak TLS"):
            await send(provider, post(server.sockets[0].getsockname()[1]), ca)


async def test_a_name_that_does_not_resolve_sends_nothing(provider: Provider, ca: CA, monkeypatch: pytest.MonkeyPatch) -> None:
    resolve = socket.getaddrinfo

    def fail(host: str, *asked: Any, **more: Any) -> Any:
        if host == "nowhere.invalid":
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return resolve(host, *asked, **more)

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    with pytest.raises(ProviderUnsent, match=r"nowhere\.invalid does not resolve"):
        await send(provider, post(443, host="nowhere.invalid"), ca)
    with pytest.raises(ProviderUnsent, match="does not resolve"):
        await send(provider, post(443, host="a" * 64 + ".example"), ca)


async def test_a_resolver_that_never_answers_is_not_waited_for(ca: CA) -> None:
    class Silent(Book):
        async def look_up(self, host: str, port: int) -> Sequence[str]:
            """Wait for ever."""
            await asyncio.Event().wait()
            return await super().look_up(host, port)

    with pytest.raises(ProviderUnsent, match="not resolved in time"):
        await send(Provider(LOOPBACK, resolver=Silent([[]])), post(443, host="provider.test"), ca, timeout=AT_ONCE)


async def test_an_unknown_authority_is_distrusted_and_the_remedy_named(provider: Provider, server: ScriptedServer) -> None:
    with pytest.raises(ProviderDistrusted, match=r"put the certificate of the authority .* into spec\.caBundle"):
        await send(provider, post(server.port), None)
    assert server.received == []


async def test_trust_in_one_connectors_authority_is_not_lent_to_another(provider: Provider, server: ScriptedServer, ca: CA) -> None:
    await send(provider, post(server.port), ca)
    with pytest.raises(ProviderDistrusted):
        await send(provider, post(server.port), None)


@pytest.mark.parametrize(
    ("hosts", "lifetime", "message"),
    [
        pytest.param(["elsewhere.test"], timedelta(days=1), "IP address mismatch.*the server needs another", id="for another host"),
        pytest.param(["127.0.0.1"], timedelta(minutes=-1), "expired; the server needs another", id="expired"),
    ],
)
async def test_a_wrong_certificate_is_distrusted(
    provider: Provider, tmp_path: Path, hosts: Sequence[str], lifetime: timedelta, message: str
) -> None:
    ca = make_ca(tmp_path)
    async with scripted_server(*ca.issue(hosts, lifetime=lifetime)) as server:
        with pytest.raises(ProviderDistrusted, match=message):
            await send(provider, post(server.port), ca)
        assert server.received == []


@pytest.mark.parametrize(
    "bundle", [pytest.param(b"junk", id="no PEM"), pytest.param("日本".encode(), id="no ASCII"), pytest.param(b"\xff\x00", id="no text")]
)
async def test_an_unreadable_bundle_is_named(provider: Provider, server: ScriptedServer, bundle: bytes) -> None:
    with pytest.raises(ProviderDistrusted, match=r"spec\.caBundle holds no certificate"):
        await provider.send(post(server.port), ca_bundle=bundle, timeout=AT_ONCE)


async def test_old_tls_is_not_spoken(provider: Provider, ca: CA) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*ca.issue(["127.0.0.1"]))
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    handshakes: list[object] = []
    async with await asyncio.start_server(lambda *streams: handshakes.append(streams), "127.0.0.1", 0, ssl=context) as server:
        with pytest.raises((ProviderDistrusted, ProviderUnsent)):
            await send(provider, post(server.sockets[0].getsockname()[1]), ca)
    assert handshakes == []


async def test_the_name_is_resolved_once_and_kept_for_certificate_and_host(server: ScriptedServer, ca: CA) -> None:
    resolver = Book([["127.0.0.1"], ["10.0.0.1"]])
    answer = await send(Provider(LOOPBACK, resolver=resolver), post(server.port, host="provider.test"), ca)
    assert (answer.status, resolver.asked) == (200, 1)
    assert server.received[0].headers["host"] == f"provider.test:{server.port}"
    assert server.server_names == ["provider.test"]


async def test_an_address_that_does_not_answer_gives_way_to_the_next(server: ScriptedServer, ca: CA) -> None:
    async with canary("127.0.0.2", server.port):
        made = Provider(LOOPBACK, resolver=Book([["127.0.0.3", "127.0.0.2", "127.0.0.1"]]))
        answer = await send(made, post(server.port, host="provider.test"), ca, connect_by=timedelta(seconds=6))
    assert answer.status == 200
    assert len(server.received) == 1


async def test_an_answer_that_is_lost_is_not_sought_at_the_next_address(server: ScriptedServer, ca: CA) -> None:
    server.answer(Script(fault=Fault.CLOSE))
    async with scripted_server(*ca.issue(["provider.test"]), host="127.0.0.2", port=server.port) as second:
        made = Provider(LOOPBACK, resolver=Book([["127.0.0.1", "127.0.0.2"]]))
        with pytest.raises(AnswerLost):
            await send(made, post(server.port, host="provider.test"), ca)
        assert (len(server.received), second.connections) == (1, 0)


async def test_one_refused_address_refuses_the_name(server: ScriptedServer, ca: CA) -> None:
    made = Provider(LOOPBACK, resolver=Book([["127.0.0.1", "169.254.169.254"]]))
    with pytest.raises(ProviderDistrusted, match=r"169\.254\.169\.254, which is link-local; .*GRANTKEEPER_PROVIDER_NETWORKS"):
        await send(made, post(server.port, host="provider.test"), ca)
    assert server.connections == 0


@pytest.mark.parametrize(
    "url",
    ["https://user@127.0.0.1:{}", "http://127.0.0.1:{}/token", "HTTP://127.0.0.1:{}", "ftp://127.0.0.1:{}", "//127.0.0.1:{}", "127.0.0.1"],
)
async def test_only_https_is_spoken(provider: Provider, url: str) -> None:
    async with canary() as bird:
        with pytest.raises(ProviderDistrusted, match="not an https URL"):
            await provider.fetch(url.format(bird.port), ca_bundle=None, timeout=AT_ONCE)
        assert bird.connections == 0


async def test_a_caller_that_gives_up_leaves_nothing_behind(provider: Provider, server: ScriptedServer, ca: CA) -> None:
    server.answer(Script(fault=Fault.SILENCE))
    request = asyncio.create_task(send(provider, post(server.port), ca))
    await server.arrived.wait()
    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request
    server.answer(Script())
    assert (await send(provider, post(server.port), ca)).status == 200


def test_nothing_that_is_sent_or_received_shows_its_secrets() -> None:
    shown = repr(post(443)) + repr(Answer(200, "application/json", None, SECRET.encode()))
    assert SECRET not in shown
    assert "YTpi" not in shown


async def test_failures_hold_no_request(provider: Provider, server: ScriptedServer, ca: CA) -> None:
    server.answer(Script(fault=Fault.CLOSE))
    with pytest.raises(AnswerLost) as caught:
        await send(provider, post(server.port), ca)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__
