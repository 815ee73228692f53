"""The measurements, one after the other on the same objects; each starts the controller and stops it again."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from bench import cpu
from bench.grants import NAMESPACE, Maker, make_connector, secret_name
from bench.ledger import Entry
from bench.settings import ASKED_CAP, REFRESHES_A_SECOND, Settings
from bench.sights import Sights, looking
from bench.stage import Stage
from bench.timing import lags
from grantkeeper.adapters.cluster import SECRETS, USERGRANTS, Cluster
from grantkeeper.core.schedule import due_at
from parts import PartFailed
from parts.progress import step

UNHURRIED = timedelta(hours=12)
"""A lifetime that no run of the bench comes to the end of."""
SETTLING = 600.0
"""Seconds that ten thousand grants may take until there is nothing more to do about them."""
SEEN_WITHIN = 2.0
"""Seconds for the last changes to be seen."""
SLOWEST_DRAIN = 10
"""Refreshes a second that are waited for where the connector knows no cap."""


@dataclass(slots=True)
class Anchors:
    """What the bare client needed in the same run."""

    patch_cpu: float = 0.0
    """Seconds of its own CPU for one PATCH."""
    refresh_cpu: float = 0.0
    """And for the calls of a refresh."""
    server_cpu: float = 0.0
    """Seconds of the control plane's for one PATCH, above what it needs at rest."""
    round_trips: list[float] = field(default_factory=list)
    list_seconds: float = 0.0
    list_resident: int = 0
    bytes_a_grant: float = 0.0


@dataclass(slots=True)
class Refreshes:
    """A window in which the controller refreshed at an even rate."""

    number: int
    lasted: float
    cpu: float
    """Seconds of the controller's CPU for one delivered refresh."""
    server_cpu: float
    """Seconds of the control plane's, above what it needs at rest."""
    lags: list[float]
    resident: int


@dataclass(slots=True)
class Restart:
    """The controller started again with nothing to do."""

    writes: int
    resident: int
    scheduled: float
    """Seconds from the start to the last grant's being looked at."""


@dataclass(slots=True)
class Drain:
    """The controller started when everything was due."""

    due: int
    presented: list[float]
    """Moments of the answers, as far as they came in time."""
    cap: float | None


@dataclass(slots=True)
class Measurements:
    """All that was measured."""

    anchors: Anchors
    refreshes: Refreshes
    restart: Restart
    drain: Drain
    presentations: int
    presented_twice: int


def lifetime_for(interval: float) -> timedelta:
    """The lifetime of access tokens that are refreshed at about this interval, by the operator's own schedule."""
    begun = datetime(2026, 1, 1, tzinfo=UTC)
    due = [due_at(obtained_at=begun, expires_at=begun + timedelta(hours=1), percent=75, uid=str(n)) - begun for n in range(200)]
    share = sum(due, timedelta()) / len(due) / timedelta(hours=1)
    return timedelta(seconds=round(interval / share))


async def measure(stage: Stage, settings: Settings) -> Measurements:
    """Everything, in the order in which the objects age."""
    cluster = Cluster(stage.login)
    try:
        await make_connector(cluster, stage.endpoint.url, stage.endpoint.ca_bundle, cap=ASKED_CAP)
        maker = await Maker.find(cluster, stage.grantkeeper.namespace)
        async with looking(stage.login.read()) as sights:
            return await Bench(stage, settings, cluster, maker, sights).run()
    finally:
        await cluster.close()


@dataclass(slots=True)
class Bench:
    """One run."""

    stage: Stage
    settings: Settings
    cluster: Cluster
    maker: Maker
    sights: Sights
    _anchors: Anchors = field(default_factory=Anchors)
    _idle: float = 0.0
    """CPU of the control plane at rest, in cores."""

    async def run(self) -> Measurements:
        """Measure."""
        await self._rest()
        first = self._patch()
        refreshes = await self._refresh()
        second = self._patch()
        self._anchors.refresh_cpu = self._bare_refresh()
        self._keep_patches(first, second)
        restart = await self._restart()
        drain = await self._drain()
        entries, twice = self.stage.endpoint.read()
        return Measurements(self._anchors, refreshes, restart, drain, len(entries) + twice, twice)

    async def _rest(self) -> None:
        with step("the control plane at rest"):
            used, begun = self._servers(), time.monotonic()
            await asyncio.sleep(self.settings.idle)
            self._idle = (self._servers() - used) / (time.monotonic() - begun)

    def _patch(self) -> dict[str, Any]:
        with step(f"the anchor: {REFRESHES_A_SECOND} bare PATCHes a second"):
            seconds, pids = self.settings.anchor, [str(pid) for pid in self.stage.server_pids]
            return self.stage.anchor("patch", str(REFRESHES_A_SECOND), str(seconds), *pids, within=2 * seconds + 60)

    def _bare_refresh(self) -> float:
        with step(f"the anchor: the calls of {REFRESHES_A_SECOND} refreshes a second"):
            seconds, endpoint = self.settings.anchor, self.stage.endpoint
            to = (f"{endpoint.url}/ledger/{sys.maxsize}", str(endpoint.ca))
            return float(self.stage.anchor("refresh", str(REFRESHES_A_SECOND), str(seconds), *to, within=2 * seconds + 60)["own"])

    def _keep_patches(self, *reports: dict[str, Any]) -> None:
        self._anchors.round_trips = [seconds for report in reports for seconds in report["round_trips"]]
        number = len(self._anchors.round_trips)
        self._anchors.patch_cpu = sum(report["own"] for report in reports) / number
        self._anchors.server_cpu = sum(sum(report["others"]) - self._idle * report["lasted"] for report in reports) / number

    async def _refresh(self) -> Refreshes:
        few, interval = self.settings.few, self.settings.interval
        lifetime = lifetime_for(interval)
        self.stage.endpoint.set_lifetime(int(lifetime.total_seconds()))
        with step(f"{few:,} grants") as making:
            now = datetime.now(UTC)
            await self.maker.make(range(few), lambda index: now - timedelta(seconds=interval * index / few), lifetime, making.say)
        self.stage.controller.start()
        try:
            with step(f"{few:,} grants are refreshed, about {REFRESHES_A_SECOND} a second") as running:
                running.say("warming up")
                await asyncio.sleep(self.settings.warming)
                running.say("measuring")
                return await self._window()
        finally:
            self.stage.controller.stop()

    async def _window(self) -> Refreshes:
        pid = self.stage.controller.pid
        known = len(self.stage.endpoint.read()[0])
        own, servers, begun = cpu.seconds(pid), self._servers(), time.monotonic()
        await asyncio.sleep(self.settings.window)
        own, servers, ended = cpu.seconds(pid) - own, self._servers() - servers, time.monotonic()
        resident = cpu.resident(pid)
        await asyncio.sleep(SEEN_WITHIN)
        entries = [entry for entry in self.stage.endpoint.read(known)[0] if begun <= entry.answered_at <= ended]
        number, lasted = len(entries), ended - begun
        if not number:
            raise PartFailed(f"nothing was refreshed; the controller's log is {self.stage.controller.log}")
        server_cpu = (servers - self._idle * lasted) / number
        return Refreshes(number, lasted, own / number, server_cpu, lags(entries, self.sights.seen), resident)

    async def _restart(self) -> Restart:
        few, many = self.settings.few, self.settings.many
        with step(f"{many:,} grants") as making:
            now = datetime.now(UTC)
            self.stage.endpoint.set_lifetime(int(UNHURRIED.total_seconds()))
            await self.maker.age(range(few), lambda _: now, UNHURRIED, making.say)
            await self.maker.make(range(few, many), lambda _: now, UNHURRIED, making.say)
        with step("the controller settles"):
            await self._settled()
        with step("the anchor: a bare list of everything"):
            report = self.stage.anchor("list", within=120)
            self._anchors.list_seconds, self._anchors.list_resident = report["lasted"], report["resident"]
            self._anchors.bytes_a_grant = report["bytes"] / many
        with step("a restart with nothing to do"):
            lines = self._audited()
            resident = await self._settled()
            calls = self.stage.control_plane.calls(lines)
            writes = sum(call.is_write and call.account == self.stage.account and call.resource != "leases" for call in calls)
        with step("a restart: until the last grant is looked at"):
            return Restart(writes, resident, await self._start_until_last())

    async def _settled(self) -> int:
        """Start the controller and let it do what there is; what it then holds in memory."""
        controller = self.stage.controller
        controller.start()
        try:
            await cpu.wait_quiet(controller.pid, within=SETTLING)
            resident = cpu.resident(controller.pid)
        finally:
            controller.stop()
        ready = [body for body in await self.cluster.list(USERGRANTS, NAMESPACE) if _is_ready(body)]
        if len(ready) != self.settings.many:
            raise PartFailed(f"only {len(ready):,} of {self.settings.many:,} grants are Ready; the controller's log is {controller.log}")
        return resident

    async def _start_until_last(self) -> float:
        """The last grant that a list gives misses its Secret: it gets it when everything before it has been looked at."""
        name = secret_name(self.settings.many - 1)
        await self.cluster.delete(SECRETS, NAMESPACE, name)
        await asyncio.sleep(SEEN_WITHIN)
        begun = time.monotonic()
        self.stage.controller.start()
        try:
            await _until(lambda: self.sights.changed.get(name, 0) > begun, 120, "the last grant's Secret to be made anew")
            return self.sights.changed[name] - begun
        finally:
            self.stage.controller.stop()

    async def _drain(self) -> Drain:
        due = self.settings.due
        with step(f"{due:,} grants fall due") as making:
            expired = datetime.now(UTC) - timedelta(minutes=61)
            await self.maker.age(range(due), lambda _: expired, timedelta(hours=1), making.say)
        known = len(self.stage.endpoint.read()[0])
        within = 2 * due / min(self.maker.cap or SLOWEST_DRAIN, ASKED_CAP) + 60
        self.stage.controller.start()
        entries: list[Entry] = []
        try:
            with step("they are drained") as draining:
                deadline = time.monotonic() + within
                while len(entries) < due and time.monotonic() < deadline:
                    await asyncio.sleep(1)
                    entries += self.stage.endpoint.read(known + len(entries))[0]
                    draining.say(f"{len(entries):,} of {due:,}")
        finally:
            self.stage.controller.stop()
        return Drain(due, [entry.answered_at for entry in entries], self.maker.cap)

    def _servers(self) -> float:
        return sum(map(cpu.seconds, self.stage.server_pids))

    def _audited(self) -> int:
        with (self.stage.control_plane.directory / "audit.log").open("rb") as lines:
            return sum(1 for _ in lines)


def _is_ready(grant: dict[str, Any]) -> bool:
    conditions = (grant.get("status") or {}).get("conditions") or []
    return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)


async def _until(holds: Callable[[], bool], within: float, what: str) -> None:
    deadline = time.monotonic() + within
    while not holds():
        if time.monotonic() > deadline:
            raise PartFailed(f"waited {within:.0f} s in vain for {what}")
        await asyncio.sleep(0.05)
