"""How the processes judge themselves: what a restart may cure, and what is missing before the work is done."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from grantkeeper.consent.lookout import LATELY, Lookout
from grantkeeper.controller.agenda import Agenda, Subject
from grantkeeper.controller.assembling import clock
from grantkeeper.controller.pulse import LOOKED_WITHIN, PASS_WITHIN, Pulse
from grantkeeper.errors import Unreachable

NOW = 10_000.0


def pulse(**known: Any) -> Pulse:
    return Pulse(**{"monotonic": lambda: NOW, "has_keyring": True, "looked_at": NOW, **known})


@pytest.mark.parametrize(
    ("known", "said"),
    [
        pytest.param({}, None, id="everything was just looked at"),
        pytest.param({"looked_at": None}, None, id="nothing was read yet: the API server may be away"),
        pytest.param({"looked_at": NOW - LOOKED_WITHIN}, None, id="the last look is just recent enough"),
        pytest.param({"looked_at": NOW - LOOKED_WITHIN - 1}, "looked at for 15 minutes", id="nobody looks any more"),
        pytest.param({"longest_pass": lambda: PASS_WITHIN}, None, id="a long pass"),
        pytest.param({"longest_pass": lambda: PASS_WITHIN + 1}, "more than 10 minutes", id="a pass that hangs"),
        pytest.param({"longest_pass": lambda: PASS_WITHIN + 1, "is_storing": lambda: True}, None, id="a pass that has a token to store"),
        pytest.param({"looked_at": 0, "is_storing": lambda: True}, None, id="nobody looks, and a token waits to be stored"),
    ],
)
def test_a_restart_is_asked_for_where_it_helps_and_costs_nothing(known: dict[str, Any], said: str | None) -> None:
    illness = pulse(**known).illness()
    assert illness is None if said is None else said in (illness or "")


@pytest.mark.parametrize(
    ("known", "said"),
    [
        pytest.param({}, None, id="all is read"),
        pytest.param({"looked_at": 0}, None, id="a look long ago was a look"),
        pytest.param({"has_keyring": False, "looked_at": None}, "The keyring has not been read yet.", id="no keyring"),
        pytest.param({"looked_at": None}, "The grants have not been read yet.", id="no grants"),
    ],
)
def test_work_begins_when_keyring_and_grants_are_read(known: dict[str, Any], said: str | None) -> None:
    assert pulse(**known).unreadiness() == said


def test_who_stands_by_is_ready_and_well_for_as_long_as_it_takes() -> None:
    waiting = pulse(looked_at=NOW - LOOKED_WITHIN - 1)
    waiting.stand_by()
    assert (waiting.unreadiness(), waiting.illness()) == (None, None)
    waiting.lead()
    assert waiting.unreadiness() == "The grants have not been read yet."
    waiting.beat()
    assert waiting.unreadiness() is None
    waiting.stand_by(ready=False)
    assert waiting.unreadiness() == "The grants have not been read yet."
    waiting.has_keyring = False
    waiting.stand_by()
    assert waiting.unreadiness() == "The keyring has not been read yet."


async def test_an_agenda_tells_how_long_its_oldest_pass_takes() -> None:
    agenda, goes_on = Agenda(clock), asyncio.Event()

    async def keep(_: Subject) -> None:
        await goes_on.wait()

    running = asyncio.create_task(agenda.run(keep))
    assert agenda.longest_pass == 0
    agenda.wake(("grant", "a"))
    await asyncio.sleep(0.02)
    assert agenda.longest_pass > 0.01
    goes_on.set()
    await agenda.drain()
    await running
    assert agenda.longest_pass == 0


class Server:
    """An API server that answers or does not."""

    is_away = False

    async def read_version(self) -> str:
        """Answer, or not."""
        if self.is_away:
            raise Unreachable("away")
        return "v1.36.0"


async def test_people_are_served_while_the_api_server_has_answered_lately() -> None:
    server, now = Server(), [NOW]
    lookout = Lookout(server, monotonic=lambda: now[0])
    assert lookout.unreadiness() == "The Kubernetes API server has not answered for 20 seconds."
    await lookout.look()
    assert lookout.unreadiness() is None
    server.is_away = True
    now[0] += LATELY
    await lookout.look()
    assert lookout.unreadiness() is None
    now[0] += 1
    assert lookout.unreadiness() is not None
    server.is_away = False
    await lookout.look()
    assert lookout.unreadiness() is None
