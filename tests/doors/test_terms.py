"""The life of the controller process: it stands by, leads, loses the lease and stands by again, and ends when it is asked to."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from grantkeeper.adapters.login import Login
from grantkeeper.controller import process
from grantkeeper.controller.measuring import Meter
from grantkeeper.controller.process import Life
from grantkeeper.controller.pulse import Pulse
from grantkeeper.core.leadership import Replica
from grantkeeper.core.records import Holder
from grantkeeper.errors import Forbidden, KeyringError, Unreachable
from stories.scene import SETTINGS


@dataclass
class Lease:
    """A lease that is won and lost when a test says so."""

    us: Replica = field(default_factory=lambda: Replica("a", Holder(pod="a", boot="1")))
    is_won: asyncio.Event = field(default_factory=asyncio.Event)
    is_lost: asyncio.Event = field(default_factory=asyncio.Event)
    given_back: int = 0

    def holds(self) -> bool:
        """Whether it is ours."""
        return self.is_won.is_set() and not self.is_lost.is_set()

    async def win(self) -> None:
        """Wait for it."""
        await self.is_won.wait()

    async def keep(self) -> None:
        """Keep it."""
        await self.is_lost.wait()

    async def give_back(self) -> None:
        """Count it."""
        self.given_back += 1


@dataclass
class Work:
    """A controller that works until it is told to end."""

    is_over: asyncio.Event = field(default_factory=asyncio.Event)
    hangs: bool = False

    async def work(self, _: Login) -> None:
        """Work."""
        await self.is_over.wait()

    def end(self) -> None:
        """End."""
        self.is_over.set()

    async def has_ended(self) -> bool:
        """Whether its watches have."""
        return not self.hangs


@dataclass
class Play:
    """A life, and what it meets."""

    life: Life
    lease: Lease
    works: list[Work]
    failures: list[Exception]


@pytest.fixture
def play(monkeypatch: pytest.MonkeyPatch) -> Play:
    works: list[Work] = []
    failures: list[Exception] = []

    async def assemble(*_: object, **__: object) -> Work:
        if failures:
            raise failures.pop(0)
        works.append(Work())
        return works[-1]

    monkeypatch.setattr(process, "assemble", assemble)
    monkeypatch.setattr(process, "BEGIN_AGAIN_AFTER", 0)
    lease: Any = Lease()
    nobody: Any = None
    login = Login.find(Path("/nowhere"), {})
    life = Life(SETTINGS, login, nobody, nobody, lease, Meter(), Pulse(has_keyring=True), asyncio.Event())
    return Play(life, lease, works, failures)


async def turn() -> None:
    """Let everything run that can."""
    for _ in range(50):
        await asyncio.sleep(0)


async def test_one_that_stands_by_is_ready_and_ends_at_once_when_it_is_asked_to(play: Play) -> None:
    living = asyncio.create_task(play.life.live())
    await turn()
    assert play.life.pulse.unreadiness() is None
    play.life.asked.set()
    await asyncio.wait_for(living, 20)
    assert play.works[0].is_over.is_set() is False, "it never worked"


async def test_one_that_leads_is_ended_in_order_and_gives_the_lease_back_last(play: Play) -> None:
    play.lease.is_won.set()
    living = asyncio.create_task(play.life.live())
    await turn()
    assert play.life.pulse.unreadiness() == "The grants have not been read yet."
    assert play.lease.given_back == 0
    play.life.asked.set()
    await asyncio.wait_for(living, 20)
    assert play.works[0].is_over.is_set()
    assert (len(play.works), play.lease.given_back) == (1, 1)


async def test_one_that_loses_the_lease_stands_by_again_and_knows_nothing(play: Play) -> None:
    play.lease.is_won.set()
    living = asyncio.create_task(play.life.live())
    await turn()
    play.lease.is_won.clear()
    play.lease.is_lost.set()
    await turn()
    assert play.works[0].is_over.is_set()
    assert len(play.works) == 2
    assert play.life.pulse.unreadiness() is None
    play.lease.is_lost.clear()
    play.lease.is_won.set()
    await turn()
    assert not play.works[1].is_over.is_set()
    play.life.asked.set()
    await asyncio.wait_for(living, 20)
    assert play.works[1].is_over.is_set()


async def test_one_whose_watches_end_begins_again_and_gives_the_lease_back_in_between(play: Play) -> None:
    play.lease.is_won.set()
    living = asyncio.create_task(play.life.live())
    await turn()
    play.works[0].end()
    await turn()
    assert (len(play.works), play.lease.given_back) == (2, 1)
    play.life.asked.set()
    await asyncio.wait_for(living, 20)


async def test_one_whose_watches_hang_leaves_it_to_a_new_process(play: Play) -> None:
    play.lease.is_won.set()
    living = asyncio.create_task(play.life.live())
    await turn()
    play.works[0].hangs = True
    play.lease.is_lost.set()
    await asyncio.wait_for(living, 20)
    assert len(play.works) == 1


@pytest.mark.parametrize("failure", [Unreachable("no answer"), Forbidden("no rights yet")], ids=["is away", "gives no rights yet"])
async def test_an_api_server_that_does_not_answer_at_the_start_is_waited_for(play: Play, failure: Exception) -> None:
    play.failures += [failure] * 5
    living = asyncio.create_task(play.life.live())
    await turn()
    assert len(play.works) == 1
    play.life.asked.set()
    await asyncio.wait_for(living, 20)


async def test_a_keyring_that_will_not_do_ends_the_process(play: Play) -> None:
    play.failures.append(KeyringError("missing"))
    with pytest.raises(KeyringError):
        await play.life.live()
