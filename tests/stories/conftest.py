"""What stories share: nobody waits in real time between two tries."""

from __future__ import annotations

import asyncio

import pytest


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every pause be over at once."""
    sleep = asyncio.sleep

    async def sleep_no_time(_: float) -> None:
        await sleep(0)

    monkeypatch.setattr(asyncio, "sleep", sleep_no_time)
