"""The session that kopf is given: it logs in, watches are as they were asked for, and of a list nothing comes but its version."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from pydantic import SecretStr

from fakes.scripted_server import Script, ScriptedServer
from grantkeeper.adapters import watchsession
from grantkeeper.adapters.login import Credentials
from grantkeeper.adapters.watchsession import Known, open_session
from grantkeeper.controller.watching import NoMemories
from parts.certificates import CA

SECRETS = "/api/v1/secrets"


def log_in(server: ScriptedServer, ca: CA) -> Credentials:
    return Credentials(f"https://127.0.0.1:{server.port}", ca.path.read_text(), SecretStr("a-token"))


async def ask(server: ScriptedServer, ca: CA, target: str) -> tuple[str, list[str]]:
    """What the server was asked for, and which lists were said to be answered."""
    listed: list[str] = []
    credentials = log_in(server, ca)
    async with open_session(credentials, listed.append, lambda *_: False) as session, session.get(credentials.server + target) as response:
        await response.read()
    (received,) = server.received
    assert received.headers["authorization"] == "Bearer a-token"
    return received.target, listed


async def test_a_list_is_asked_for_what_nothing_is_called_and_said_to_be_answered(server: ScriptedServer, ca: CA) -> None:
    target, listed = await ask(server, ca, f"{SECRETS}?limit=500&labelSelector=grantkeeper.dev/kind")
    query = {"limit": ["500"], "labelSelector": ["grantkeeper.dev/kind"], "fieldSelector": ["metadata.name=-"]}
    assert (urlsplit(target).path, parse_qs(urlsplit(target).query)) == (SECRETS, query)
    assert listed == [SECRETS]


@pytest.mark.parametrize("target", [f"{SECRETS}?watch=true&resourceVersion=7", "/apis/grantkeeper.dev/v1alpha1"])
async def test_anything_else_is_asked_for_as_it_is(server: ScriptedServer, ca: CA, target: str) -> None:
    assert await ask(server, ca, target) == (target, [])


async def test_a_list_that_was_refused_is_not_said_to_be_answered(server: ScriptedServer, ca: CA) -> None:
    server.answer(Script(status=403))
    assert (await ask(server, ca, f"{SECRETS}?limit=500"))[1] == []


def write_event(kind: str, name: str) -> bytes:
    """A line of a watch."""
    secret = {"kind": "Secret", "apiVersion": "v1", "metadata": {"name": name, "resourceVersion": "12"}, "data": {"access_token": "YQ=="}}
    return json.dumps({"type": kind, "object": secret}, separators=(",", ":")).encode()


BOOKMARK = {"type": "BOOKMARK", "object": {"kind": "Secret", "apiVersion": "v1", "metadata": {"resourceVersion": "12"}}}


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watchsession, "MOMENT", 0)


async def watch(server: ScriptedServer, ca: CA, is_known: Known, size: int = 1024 * 1024) -> list[bytes]:
    """The lines that come of a watch."""
    credentials = log_in(server, ca)
    async with open_session(credentials, print, is_known) as session, session.get(f"{credentials.server}{SECRETS}?watch=true") as response:
        return b"".join([data async for data in response.content.iter_chunked(size)]).split(b"\n")


@pytest.mark.parametrize("size", [1, 50, 1024 * 1024])
async def test_what_is_known_comes_as_a_bookmark_and_everything_else_as_it_is(server: ScriptedServer, ca: CA, size: int) -> None:
    news = [
        write_event("MODIFIED", "new"),
        write_event("DELETED", "known"),
        b'{"type":"ERROR","object":{"kind":"Status","code":410}}',
        b"no event",
    ]
    echoes = [write_event("ADDED", "known"), write_event("MODIFIED", "known")]
    server.answer(Script(body=b"\n".join([news[0], echoes[0], *news[1:3], echoes[1], b"", news[3]])))
    asked: list[str] = []

    def is_known(plural: str, body: dict[str, Any]) -> bool:
        asked.append(plural)
        return bool(body["metadata"]["name"] == "known")

    lines = await watch(server, ca, is_known, size)
    assert [lines[n] for n in (0, 2, 3, 6)] == news
    assert lines[5] == b""
    assert [json.loads(lines[n]) for n in (1, 4)] == [BOOKMARK, BOOKMARK]
    assert set(asked) == {"secrets"}


async def test_of_what_is_known_and_came_together_one_bookmark_says_how_far_it_goes(server: ScriptedServer, ca: CA) -> None:
    versions = [write_event("MODIFIED", "known").replace(b'"12"', f'"{version}"'.encode()) for version in (10, 11, 12)]
    server.answer(Script(body=b"\n".join([*versions, b""])))
    first, *rest = await watch(server, ca, lambda *_: True)
    assert (json.loads(first), rest) == (BOOKMARK, [b""])


async def test_what_is_known_a_moment_later_is_no_news(server: ScriptedServer, ca: CA, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watchsession, "MOMENT", 0.05)
    server.answer(Script(body=write_event("MODIFIED", "ours") + b"\n"))
    known: list[str] = []

    async def answer() -> None:
        await server.arrived.wait()
        asyncio.get_running_loop().call_later(0.04, known.append, "ours")  # the answer to the write is slower than its echo

    def is_known(_: str, body: dict[str, Any]) -> bool:
        return body["metadata"]["name"] in known

    answering = asyncio.create_task(answer())
    assert json.loads((await watch(server, ca, is_known))[0]) == BOOKMARK
    await answering


async def test_a_backlog_is_read_without_a_pause(server: ScriptedServer, ca: CA, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watchsession, "MOMENT", 5)
    event = write_event("MODIFIED", "x" * 5000)
    server.answer(Script(body=b"\n".join([event] * 2000)))
    async with asyncio.timeout(40):
        assert await watch(server, ca, lambda *_: False) == [event] * 2000, "ten megabytes, of which a watch holds 128 KiB at most"


def test_kopf_remembers_no_object() -> None:
    memories = NoMemories()
    asyncio.run(memories.recall({"metadata": {"uid": "1"}}, noticed_by_listing=True))
    assert list(memories.iter_all_memories()) == []
