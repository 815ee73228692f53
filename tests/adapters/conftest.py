"""Adapters are tested in the loop that the controller turns in."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

import uvloop


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Nothing but uvloop: where another one behaves otherwise, nobody meets that."""
    return {"uvloop": uvloop.new_event_loop}
