"""Several replicas and one Lease: one leads, nobody else begins while it may, and an old one changes nothing that is newer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from fakes.cluster import Object
from fakes.troubles import Trouble, TroubledCluster, failing
from grantkeeper.adapters.cluster import LEASES
from grantkeeper.controller.leading import Leadership
from grantkeeper.core.leadership import GIVE_UP_AFTER, LASTS, LEASE_NAME, LOOK_EVERY, Replica
from grantkeeper.core.records import Holder
from grantkeeper.errors import ClusterError, Conflict, Forbidden, Unreachable
from stories.scene import OPERATOR_NAMESPACE

HERE = OPERATOR_NAMESPACE
STEP = 0.25
"""Seconds by which the clock moves while everybody waits."""
AWAY = failing(Unreachable("no answer"))


@dataclass
class World:
    """An API server, a monotonic clock for everybody, and who waits until when; `skew` is what the wall clocks are off by."""

    now: float = 1000.0
    skew: timedelta = timedelta(0)
    sleepers: list[tuple[float, asyncio.Event]] = field(default_factory=list)
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.cluster = TroubledCluster(self.clock)

    def clock(self) -> datetime:
        """What the wall says."""
        return datetime(2026, 11, 21, 6, 30, tzinfo=UTC) + timedelta(seconds=self.now) + self.skew

    async def pause(self, seconds: float) -> None:
        """Sleep by this clock."""
        over = asyncio.Event()
        self.sleepers.append((self.now + seconds, over))
        await over.wait()

    async def pass_time(self, seconds: float) -> None:
        """Let everybody do what falls into this time."""
        await turn()
        for _ in range(round(seconds / STEP)):
            self.now += STEP
            await self.wake_sleepers()

    async def wake_sleepers(self) -> None:
        """Wake those whose time has come."""
        due = [over for until, over in self.sleepers if until <= self.now]
        self.sleepers = [(until, over) for until, over in self.sleepers if until > self.now]
        for over in due:
            over.set()
        await turn()

    def replica(self, pod: str, boot: str = "1") -> Leadership:
        """A replica that does nothing yet."""
        us = Replica(f"controller-{pod}", Holder(pod=pod, boot=boot))
        return Leadership(self.cluster, HERE, us, self.clock, lambda: self.now, self.pause)

    def begin(self, replica: Leadership) -> asyncio.Task[None]:
        """Let it stand by, and lead once it may."""

        async def serve() -> None:
            await replica.win()
            await replica.keep()

        self.tasks.append(asyncio.create_task(serve()))
        return self.tasks[-1]

    async def lease(self) -> Object:
        """The Lease's spec."""
        return dict((await self.cluster.get(LEASES, HERE, LEASE_NAME))["spec"])


async def turn() -> None:
    """Let everything run that can."""
    for _ in range(30):
        await asyncio.sleep(0)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    made = World()
    yield made
    for task in made.tasks:
        task.cancel()
    await asyncio.gather(*made.tasks, return_exceptions=True)


async def end(task: asyncio.Task[None]) -> None:
    """The process is gone, or does something else."""
    task.cancel()
    await asyncio.wait((task,))


async def test_of_three_replicas_one_leads_for_as_long_as_it_lives(world: World) -> None:
    replicas = [world.replica(pod) for pod in ("a", "b", "c")]
    for replica in replicas:
        world.begin(replica)
    for _ in range(240):
        await world.pass_time(STEP)
        assert [replica.holds() for replica in replicas] == [True, False, False]
    assert (await world.lease())["leaseTransitions"] == 0


async def test_when_the_leader_is_gone_the_next_one_leads_once_its_lease_is_over_and_not_before(world: World) -> None:
    first, second = world.replica("a"), world.replica("b")
    leading = world.begin(first)
    await world.pass_time(2)
    world.begin(second)
    await world.pass_time(30)
    await end(leading)
    await world.pass_time(LASTS.total_seconds() - 5)
    assert not second.holds(), "it was renewed at most five seconds before"
    await world.pass_time(5 + LOOK_EVERY.total_seconds() + STEP)
    assert second.holds()
    assert (await world.lease())["leaseTransitions"] == 1


async def test_who_gives_the_lease_back_is_followed_within_a_second(world: World) -> None:
    first, second = world.replica("a"), world.replica("b")
    leading = world.begin(first)
    await world.pass_time(2)
    world.begin(second)
    await world.pass_time(7)
    await end(leading)
    assert not first.holds()
    await first.give_back()
    assert (await world.lease())["holderIdentity"] == ""
    await world.pass_time(LOOK_EVERY.total_seconds())
    assert second.holds()


async def test_a_restart_in_the_same_pod_leads_at_once(world: World) -> None:
    await end_after(world, world.begin(world.replica("a", "1")))
    again = world.replica("a", "2")
    world.begin(again)
    await world.pass_time(STEP)
    assert again.holds()


async def end_after(world: World, task: asyncio.Task[None]) -> None:
    await world.pass_time(2)
    await end(task)


async def test_who_was_stopped_past_its_lease_knows_it_before_it_does_anything(world: World) -> None:
    first, second = world.replica("a"), world.replica("b")
    world.begin(first)
    await world.pass_time(2)
    world.now += GIVE_UP_AFTER.total_seconds()  # nothing of it has run meanwhile
    assert not first.holds()
    leading = world.tasks[0]
    await world.pass_time(STEP)
    assert leading.done()
    world.begin(second)
    await world.pass_time(LASTS.total_seconds() + 1)
    assert second.holds()
    assert not first.holds()


@pytest.mark.parametrize("skew", [timedelta(hours=1), timedelta(hours=-1)], ids=["an hour forward", "an hour back"])
async def test_a_wall_clock_that_jumps_moves_no_lease(world: World, skew: timedelta) -> None:
    first, second = world.replica("a"), world.replica("b")
    leading = world.begin(first)
    world.begin(second)
    await world.pass_time(12)
    world.skew = skew
    await world.pass_time(60)
    assert (first.holds(), second.holds()) == (True, False)
    await end(leading)
    world.skew = -skew
    await world.pass_time(9)
    assert not second.holds()
    await world.pass_time(7.5)
    assert second.holds()


async def test_who_cannot_renew_gives_up_before_another_may_begin_and_takes_it_again_when_it_can(world: World) -> None:
    first = world.replica("a")
    leading = world.begin(first)
    await world.pass_time(2)
    world.cluster.troubles = [Trouble(verb, "leases/", AWAY, times=9999) for verb in ("get", "replace", "create")]
    await world.pass_time(GIVE_UP_AFTER.total_seconds() - 3)
    assert first.holds()
    await world.pass_time(3.5)
    assert not first.holds()
    assert leading.done()
    await world.pass_time(600)
    world.cluster.troubles.clear()
    world.begin(first)
    await world.pass_time(STEP)
    assert first.holds()


@pytest.mark.parametrize(
    "error",
    [
        pytest.param(Unreachable("429"), id="it says to come back later"),
        pytest.param(Unreachable("500"), id="it reports an error of its own"),
        pytest.param(Conflict("changed"), id="it says that somebody wrote"),
        pytest.param(Forbidden("no"), id="a right was taken away"),
        pytest.param(ClusterError("410"), id="it answers oddly"),
    ],
)
@pytest.mark.parametrize("is_late", [False, True], ids=["and does nothing", "though it was stored"])
async def test_one_renewal_that_fails_costs_nothing(world: World, error: Exception, is_late: bool) -> None:
    first = world.replica("a")
    world.begin(first)
    await world.pass_time(2)
    world.cluster.troubles = [Trouble("replace", "leases/", failing(error), is_late=is_late)]
    for _ in range(100):
        await world.pass_time(STEP)
        assert first.holds()


async def test_an_answer_that_comes_too_late_renews_nothing(world: World) -> None:
    first = world.replica("a")
    leading = world.begin(first)
    await world.pass_time(2)

    async def dawdle() -> None:
        world.now += GIVE_UP_AFTER.total_seconds()

    world.cluster.troubles = [Trouble("replace", "leases/", dawdle, is_late=True)]
    await world.pass_time(5)
    assert not first.holds()
    await world.pass_time(STEP)
    assert leading.done()
    await first.give_back()
    assert (await world.lease())["holderIdentity"] == "", "what was stored all the same must not keep anybody waiting"


async def test_a_renewal_counts_from_when_it_was_sent(world: World) -> None:
    first = world.replica("a")
    world.begin(first)
    await world.pass_time(2)

    async def dawdle_and_go_away() -> None:
        world.now += 2
        world.cluster.troubles = [Trouble(verb, "leases/", AWAY, times=9999) for verb in ("get", "replace")]

    world.cluster.troubles = [Trouble("replace", "leases/", dawdle_and_go_away, is_late=True)]
    await world.pass_time(5)  # it was sent after five seconds, and answered two later
    await world.pass_time(5.5)
    assert first.holds()
    await world.pass_time(1)
    assert not first.holds()


async def test_what_was_lost_before_an_answer_came_stays_lost(world: World) -> None:
    first = world.replica("a")
    leading = world.begin(first)
    await world.pass_time(2)
    tries: list[float] = []

    async def fail_and_dawdle() -> None:
        tries.append(world.now)
        if len(tries) < 5:
            raise Unreachable("no answer")
        world.now += 2

    world.cluster.troubles = [Trouble("replace", "leases/", fail_and_dawdle, times=9999)]
    await world.pass_time(8)
    assert tries == [1005, 1006, 1007, 1008, 1009], "the last was sent in time, and answered after ten seconds"
    assert not first.holds()
    assert leading.done()


async def test_who_finds_somebody_else_in_the_lease_leads_no_more(world: World) -> None:
    first = world.replica("a")
    leading = world.begin(first)
    await world.pass_time(2)
    body = await world.cluster.get(LEASES, HERE, LEASE_NAME)
    body["spec"]["holderIdentity"] = "somebody"
    await world.cluster.replace(LEASES, body)
    await world.pass_time(5)
    assert leading.done()
    await first.give_back()
    assert (await world.lease())["holderIdentity"] == "somebody"


async def test_a_lease_that_somebody_annotates_or_deletes_is_kept(world: World) -> None:
    first, second = world.replica("a"), world.replica("b")
    world.begin(first)
    await world.pass_time(1)
    await world.cluster.patch(LEASES, HERE, LEASE_NAME, {"metadata": {"annotations": {"example.com/a": "x"}}})
    await world.pass_time(20)
    assert first.holds()
    assert (await world.cluster.get(LEASES, HERE, LEASE_NAME))["metadata"]["annotations"] == {"example.com/a": "x"}
    await world.cluster.delete(LEASES, HERE, LEASE_NAME)
    await world.pass_time(20)
    assert first.holds()
    await world.cluster.delete(LEASES, HERE, LEASE_NAME)
    world.begin(second)
    await world.pass_time(40)
    assert first.holds() != second.holds()


async def test_of_two_that_take_it_at_the_same_moment_one_leads(world: World) -> None:
    first, second = world.replica("a"), world.replica("b")

    async def be_faster() -> None:
        second.pause = world.pause
        world.begin(second)
        await turn()

    world.cluster.troubles = [Trouble("create", "leases/", be_faster)]
    world.begin(first)
    await world.pass_time(30)
    assert (first.holds(), second.holds()) == (False, True)
