"""The lines before a server: the limits are kept and used, and what waits does so in order."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fakes.virtual import START, clock, pass_time, play
from grantkeeper.controller.pacing import LAPSES_AFTER, Lane, Pacer
from grantkeeper.core.pacing import Gate, Rank, Urgency
from grantkeeper.resources import LimitsSpec

NAME = ("team-a", "calendar")
OTHER = ("team-a", "mail")


@dataclass
class Server:
    """Grants that each present something once, when their turn comes; each presentation takes `latency`."""

    limits: LimitsSpec = field(default_factory=LimitsSpec)
    gate: Gate = field(default_factory=Gate)
    latency: float = 0.2
    sleepy: set[str] = field(default_factory=set)
    """Those that do not use their reservation."""
    begun: list[tuple[float, str]] = field(default_factory=list)
    in_flight: int = 0
    most: int = 0
    pacer: Pacer = field(init=False)
    ranks: dict[str, Rank] = field(default_factory=dict)
    tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.pacer = Pacer(clock, lambda _: self.limits, lambda _: self.gate, self.wake, lambda _: nullcontext())

    def ask(self, uid: str, *, urgency: Urgency = Urgency.ROUTINE, after: float = 0) -> None:
        """Be woken for the first time."""
        self.ranks[uid] = Rank(urgency, START + timedelta(seconds=after))
        self._start(self._pass_over(uid))

    def wake(self, uid: str) -> None:
        """Be woken by the pacer."""
        if uid not in self.sleepy:
            self._start(self._pass_over(uid))

    async def _pass_over(self, uid: str) -> None:
        with self.pacer.turn(NAME, uid, self.ranks[uid]) as has_come:
            if not has_come:
                return
            self.begun.append((asyncio.get_running_loop().time(), uid))
            self.in_flight += 1
            self.most = max(self.most, self.in_flight)
            await pass_time(self.latency)
            self.in_flight -= 1

    def _start(self, work: Coroutine[object, object, None]) -> None:
        task = asyncio.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    @property
    def times(self) -> list[float]:
        """When something was begun."""
        return [at for at, _ in self.begun]

    @property
    def order(self) -> list[str]:
        """Who began, in order."""
        return [uid for _, uid in self.begun]


def most_in_a_second(times: list[float]) -> int:
    """In any second, wherever it begins."""
    return max(sum(at <= other < at + 1 - 1e-6 for other in times) for at in times)


@settings(max_examples=30)
@given(rate=st.integers(1, 60), concurrency=st.integers(1, 16), latency=st.sampled_from([0.001, 0.1, 0.7, 5.0]))
def test_the_limits_are_kept_and_used(rate: int, concurrency: int, latency: float) -> None:
    async def story() -> Server:
        server = Server(LimitsSpec(requests_per_second=rate, concurrency=concurrency), latency=latency)
        for n in range(120):
            server.ask(str(n), after=n)
        await pass_time(1000)
        return server

    server = play(story)
    assert server.order == [str(n) for n in range(120)]
    assert server.most <= concurrency
    assert most_in_a_second(server.times) <= rate
    took = server.times[-1] - server.times[0]
    possible = min(rate, concurrency / latency)
    assert 119 / took >= 0.9 * possible or took <= 1 / possible + latency


def test_ten_thousand_at_once_go_by_expiry_and_a_code_overtakes_them() -> None:
    async def story() -> Server:
        server = Server(LimitsSpec(requests_per_second=100, concurrency=64))
        for n in reversed(range(10_000)):
            server.ask(f"grant-{n}", after=n)
        await pass_time(5)
        server.ask("code", urgency=Urgency.AWAITED, after=1e6)
        await pass_time(200)
        return server

    server = play(story)
    waited = next(at for at, uid in server.begun if uid == "code") - 5
    assert waited <= 0.25
    routine = [int(uid.removeprefix("grant-")) for uid in server.order if uid != "code"]
    assert len(routine) == 10_000
    assert routine[25:] == sorted(routine[25:]), "but for those who asked before the others were there"


def test_limits_that_change_count_at_once() -> None:
    async def story() -> Server:
        server = Server(LimitsSpec(requests_per_second=1, concurrency=1), latency=60)
        for n in range(200):
            server.ask(str(n), after=n)
        await pass_time(10)
        server.latency = 0.1
        server.limits = LimitsSpec(requests_per_second=50, concurrency=16)
        server.pacer.serve(NAME)
        await pass_time(60)
        return server

    server = play(story)
    assert sum(at < 10 for at in server.times) == 1
    assert sum(at < 15 for at in server.times) == 200


def test_a_reservation_that_is_not_used_is_somebody_elses() -> None:
    async def story() -> Server:
        server = Server(LimitsSpec(concurrency=1), sleepy={"sleeper"})
        server.ask("first")
        server.ask("sleeper", after=1)
        server.ask("third", after=2)
        await pass_time(60)
        return server

    server = play(story)
    assert server.order == ["first", "third"]
    assert server.times[1] == pytest.approx(0.2 + LAPSES_AFTER.total_seconds(), abs=0.2)


@pytest.mark.parametrize("sleepy", [pytest.param(set(), id="while it waits"), pytest.param({"second"}, id="with a reservation")])
def test_one_that_goes_away_leaves_the_line(sleepy: set[str]) -> None:
    async def story() -> Server:
        server = Server(LimitsSpec(concurrency=1), sleepy=sleepy)
        for n, uid in enumerate(("first", "second", "third")):
            server.ask(uid, after=n)
        await pass_time(0.3 if sleepy else 0.1)
        server.pacer.leave("second")
        assert server.pacer.rank("second") is None
        await pass_time(1)
        return server

    assert play(story).order == ["first", "third"]


def test_nobody_goes_while_the_server_rests() -> None:
    async def story() -> Server:
        until = START + timedelta(seconds=100)
        server = Server(gate=Gate(opens_at=until, opens_to_awaited_at=until))
        server.ask("a")
        server.ask("code", urgency=Urgency.AWAITED)
        await pass_time(101)
        return server

    server = play(story)
    assert server.order == ["code", "a"]
    assert server.times[0] == pytest.approx(100)


def test_one_at_a_time_finds_out() -> None:
    async def story() -> Server:
        server = Server(gate=Gate(opens_at=START, opens_to_awaited_at=START, is_narrow=True), latency=3)
        for n in range(5):
            server.ask(str(n), after=n)
        await pass_time(60)
        return server

    server = play(story)
    assert (server.most, len(server.begun)) == (1, 5)


def test_what_could_not_wait_is_waited_for() -> None:
    async def story() -> Server:
        server = Server(LimitsSpec(requests_per_second=1))
        server.ask("first")
        await pass_time(0.1)
        server.pacer.charge(NAME)  # it presented once more, with the other client secret
        server.ask("second")
        await pass_time(5)
        return server

    assert play(story).times == pytest.approx([0, 2.04], abs=1e-3)


def test_a_release_waits_neither_for_the_rate_nor_for_a_server_that_rests() -> None:
    async def story() -> list[datetime]:
        server = Server(LimitsSpec(requests_per_second=1, concurrency=4), gate=Gate(opens_at=START + timedelta(hours=1)))
        server.ask("a")
        ended: list[datetime] = []

        async def release(uid: str) -> None:
            with server.pacer.turn(NAME, uid, Rank(Urgency.ROUTINE, START), Lane.REVOCATION) as has_come:
                if has_come:
                    await pass_time(1)
                    ended.append(clock())

        server.pacer.wake = lambda uid: server._start(release(uid))  # noqa: SLF001  # the same tasks
        for n in range(8):
            server._start(release(str(n)))  # noqa: SLF001
        server._start(release("a"))  # noqa: SLF001  # it waited for its refresh, and is deleted
        await pass_time(10)
        assert server.pacer.rank("a") is None
        return ended

    assert [(at - START).total_seconds() for at in play(story)] == pytest.approx([1] * 4 + [2] * 4 + [3])


def test_the_lines_of_two_connectors_know_nothing_of_each_other() -> None:
    async def story() -> bool:
        server = Server(LimitsSpec(concurrency=1), latency=100)
        server.ask("a")
        server.ask("b", after=1)
        await pass_time(1)
        with server.pacer.turn(OTHER, "c", Rank(Urgency.ROUTINE, START)) as has_come:
            pass
        await pass_time(300)
        return has_come

    assert play(story)


def test_lines_that_nobody_stands_in_are_not_kept() -> None:
    async def story() -> int:
        server = Server()
        for n in range(20):
            server.ask(str(n))
        await pass_time(10)
        server.pacer.serve(NAME)
        return len(server.pacer._lines) + len(server.pacer._places)  # noqa: SLF001  # what it costs is nowhere to be seen but here

    assert play(story) == 0
