"""One storm, from the first consent until all is well again: the replicas, the people, the weather, and whoever takes it all down."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from random import Random
from time import monotonic, time
from typing import Any

import httpx

from chaos.archive import REFRESH
from chaos.evidence import Call, Evidence, Kind
from chaos.mishaps import Fury, Replica
from chaos.people import People
from chaos.settings import Settings
from chaos.sights import Sights
from chaos.stage import NAMESPACE, Stage, grant_name
from chaos.weather import Odds
from chaos.wires import Wires
from parts import PartFailed
from parts.launcher import Installation
from parts.progress import Step, step

CONSENTING = 180.0
"""Seconds that the first consents may take."""
READ_EVERY = 0.5
SEEN_WITHIN = 2.0
"""Seconds for the last versions to be seen."""
CONSENTED_FOR = 30
"""Seconds that the first tokens live, so that those who came first do not keep the others waiting."""
TUNE_EVERY = 4.0
LONGER, SHORTER, LONGEST = 1.1, 0.93, 120.0
"""How tokens' lives change from one look to the next, and how long they get."""


@dataclass(slots=True)
class Storm:
    """Runs on real parts that have been started."""

    stage: Stage
    installation: Installation
    wires: Wires
    settings: Settings
    evidence: Evidence = field(default_factory=Evidence)
    lifetimes: list[float] = field(default_factory=lambda: [float(CONSENTED_FOR)])
    """Of access tokens, in seconds: from the first consents on, as the machine kept up."""
    began_at: float = 0.0
    over_at: float = 0.0
    """When it ended, and all was to become well."""
    unwell: list[str] = field(default_factory=list)
    """Grants that did not."""
    _stored: int = 0
    """Refreshes whose answer was sent."""
    _read: int = 0
    _people: People = field(init=False)
    _sights: Sights = field(init=False)
    _fury: Fury = field(init=False)

    async def rage(self) -> None:
        """All of it. What was seen is in the evidence."""
        login = self.stage.login.read()
        trust = ssl.create_default_context(cafile=self.stage.control_plane.ca)
        headers = {"Authorization": f"Bearer {login.token.get_secret_value() if login.token else ''}"}
        async with (
            httpx.AsyncClient(base_url=login.server, headers=headers, verify=trust, trust_env=False, timeout=30) as client,
            AsyncExitStack() as running,
        ):
            installation, settings = self.installation, self.settings
            self._people = People(self.stage.server, client, installation.namespace, installation.external_url, CONSENTED_FOR)
            self._sights = Sights(self.evidence, self._people.hear)
            replicas = [Replica(one, self.wires.of(int(one.environment["KUBERNETES_SERVICE_PORT"]))) for one in installation.controllers]
            self._fury = Fury(installation, replicas, self.evidence, settings, client, lambda: self._stored)
            await running.enter_async_context(_beside(self._sights.watch(login, NAMESPACE, installation.namespace)))
            await running.enter_async_context(_beside(self._read_calls()))
            async with _beside(self._fury.tend()):
                await self._consent()
                async with _beside(self._tune()):
                    async with _beside(self._fury.kill()), _beside(self._fury.torment()), _beside(self._worsen()):
                        await self._blow()
                    await self._settle()
            await self._end()
        ended, still_open = self.stage.server.calls(self._read)
        self.evidence.calls += [*ended, *still_open]

    async def _consent(self) -> None:
        number = self.settings.grants
        with step(f"{number} grants are made and consented to") as making:
            await asyncio.to_thread(self.stage.add_grants, number)
            await self._until(lambda: self._count_ready() == number, CONSENTING, making, lambda: f"{self._count_ready()} of {number} Ready")

    async def _tune(self) -> None:
        """Let tokens live as short as is wanted, or as this machine can keep up with: it has other things to do, now more, now less."""
        fewest, most = self.settings.ready
        while True:
            share = self._count_ready() / self.settings.grants
            exact = self.lifetimes[-1] * (LONGER if share < fewest else SHORTER if share > most else 1.0)
            self.lifetimes.append(min(max(exact, float(self.settings.lifetime)), LONGEST))
            with suppress(httpx.TransportError):
                await asyncio.to_thread(self.stage.server.set_lifetime, round(self.lifetimes[-1]))
            await asyncio.sleep(TUNE_EVERY)

    async def _blow(self) -> None:
        settings = self.settings
        self.stage.server.set_weather(settings.odds, f"{settings.seed}/weather")
        self.began_at, begun = time(), monotonic()
        with step(f"the storm, seed {settings.seed}") as blowing:
            while monotonic() - begun < settings.storm and not self._is_enough():
                blowing.say(self._tell())
                await asyncio.sleep(READ_EVERY)

    async def _settle(self) -> None:
        """Everything runs and can be reached: soon everybody must be well."""
        await asyncio.to_thread(self.stage.server.set_weather, Odds(), "")
        self._fury.calm()
        self.over_at = time()
        with step("all becomes well") as settling:
            names = {grant_name(index) for index in range(self.settings.grants)}
            deadline = monotonic() + self.settings.settling
            while (ill := {name for name in names if not self._is_well(name)}) and monotonic() < deadline:
                settling.say(f"{len(names) - len(ill)} of {len(names)} well")
                await asyncio.sleep(READ_EVERY)
            self.unwell = sorted(ill)

    async def _end(self) -> None:
        """End the controllers in order, and see the last of what they wrote."""
        await asyncio.gather(*(asyncio.to_thread(container.stop) for container in self.installation.controllers))
        await asyncio.sleep(SEEN_WITHIN)

    async def _read_calls(self) -> None:
        """The ledger, a piece at a time; and whoever was asked and may not have been heard is heard again."""
        while True:
            with suppress(httpx.TransportError):  # on a crowded machine even this server is late
                calls, _ = await asyncio.to_thread(self.stage.server.calls, self._read)
                self._read += len(calls)
                self.evidence.calls += calls
                self._stored += sum(_is_refresh(call) for call in calls)
            for report in list(self._sights.reports.values()):
                self._people.hear(report)
            await asyncio.sleep(READ_EVERY)

    async def _worsen(self) -> None:
        """The authorization server is away for a while, again and again."""
        chance, server = Random(f"{self.settings.seed}/outages"), self.stage.server  # noqa: S311  # to be repeatable, not secret
        while True:
            await asyncio.sleep(chance.expovariate(1 / self.settings.outage_every))
            seconds, now = chance.uniform(0.3, 3.0), time()
            with suppress(httpx.TransportError):
                await asyncio.to_thread(chance.choice((server.reset_all, server.refuse_all)), seconds)
            self.evidence.outages.append((now, time() + seconds))

    def _is_enough(self) -> bool:
        refreshes, kills = self.settings.refreshes, self.settings.kills
        return refreshes is not None and kills is not None and self._stored >= refreshes and self._fury.count(Kind.KILL) >= kills

    def _count_ready(self) -> int:
        return sum(report.is_ready for report in self._sights.reports.values())

    def _is_well(self, name: str) -> bool:
        """A set that was sealed since, delivered, reported, and no claim of a life that is over."""
        report, sealed, copy = self._sights.reports.get(name), self._sights.sealed.get(name), self._sights.copies.get(name)
        if report is None or sealed is None or copy is None or copy.seen_at < self.over_at or not report.is_ready:
            return False
        living = {replica.pod for replica in self._fury.replicas}
        is_claimed = sealed.claim is not None and (sealed.claim.lost or sealed.claim.pod not in living)
        return copy.generation == report.generation and sealed.generation - copy.generation <= 1 and not is_claimed

    def _tell(self) -> str:
        fury, settings, lasted = self._fury, self.settings, max(time() - self.began_at, 1.0)
        kills = fury.count(Kind.KILL)
        of = (f" of {settings.refreshes:,}", f" of {settings.kills:,}") if settings.refreshes and settings.kills else ("", "")
        left = self._left(lasted) if settings.refreshes and settings.kills else ""
        leading = next((f"{number}" for number, replica in enumerate(fury.replicas, 1) if replica.pod == fury.leader), "nobody")
        return (
            f"{self._stored:,}{of[0]} refreshes, {kills:,}{of[1]} kills, {fury.count(Kind.STOP)} stops, {fury.count(Kind.CUT)} cuts, "
            f"{self._count_ready()} Ready, tokens of {self.lifetimes[-1]:.0f} s, {leading} leads{left}"
        )

    def _left(self, lasted: float) -> str:
        """How long until both are reached, at the pace so far."""
        settings = self.settings
        shares = (self._stored / (settings.refreshes or 1), self._fury.count(Kind.KILL) / (settings.kills or 1))
        needed, left = lasted / max(min(shares), 1e-6) - lasted, settings.storm - lasted
        return f", {needed / 60:.0f} min to go" if needed < left else f", {left / 60:.0f} min left, too few at this pace"

    async def _until(self, holds: Callable[[], bool], within: float, said: Step, tell: Callable[[], str]) -> None:
        deadline = monotonic() + within
        while not holds():
            if monotonic() > deadline:
                raise PartFailed(f"after {within:.0f} s only {tell()}")
            said.say(tell())
            await asyncio.sleep(READ_EVERY)


def _is_refresh(call: Call) -> bool:
    return call.grant_type == REFRESH and call.gave


@asynccontextmanager
async def _beside(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Do something beside the block; when that fails, the block does."""
    here, task = asyncio.current_task(), asyncio.ensure_future(work)
    assert here is not None
    task.add_done_callback(lambda done: None if done.cancelled() else here.cancel())
    try:
        yield
    except asyncio.CancelledError:
        if task.done() and not task.cancelled() and (error := task.exception()) is not None:
            raise error from None
        raise
    finally:
        if not task.done():
            task.cancel()
        await asyncio.wait((task,))
