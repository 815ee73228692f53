"""Adapters are tested in the loop that the controller turns in, against a server that does as it is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping

import pytest
import uvloop

from fakes.scripted_server import ScriptedServer, scripted_server
from parts.certificates import CA, make_ca


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Nothing but uvloop: where another one behaves otherwise, nobody meets that."""
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture(scope="module")
def ca(tmp_path_factory: pytest.TempPathFactory) -> CA:
    """Who signs the server's certificate."""
    return make_ca(tmp_path_factory.mktemp("ca"))


@pytest.fixture
async def server(ca: CA) -> AsyncIterator[ScriptedServer]:
    """A server on loopback, over TLS."""
    async with scripted_server(*ca.issue(["127.0.0.1"])) as running:
        yield running
