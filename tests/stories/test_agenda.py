"""The agenda: everybody gets a turn, nobody two at once, and what waits for a server takes nobody's place."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from fakes.virtual import START, clock, pass_time, play
from grantkeeper.controller.agenda import FIRST, REPEAT_AFTER, Agenda, Pass, Subject
from grantkeeper.controller.running import GRANT
from grantkeeper.errors import Unreachable

SECOND = timedelta(seconds=1)
NEIGHBOUR = (GRANT, "neighbour")


def grants(number: int, name: str = "slow") -> list[Subject]:
    return [(GRANT, f"{name}/{n}") for n in range(number)]


def server_of(subject: Subject) -> str:
    """What stands before the slash."""
    return subject[1].partition("/")[0]


@dataclass
class Work:
    """Passes: those in `slow` wait until `gate` opens; all are counted, and how many were under way at once."""

    hands: list[datetime] = field(default_factory=lambda: [datetime(2026, 11, 21, 6, 30, tzinfo=UTC)])
    slow: frozenset[str] = frozenset()
    failures: list[Exception] = field(default_factory=list)
    next_look: timedelta | None = None
    gate: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(0))
    begun: Counter[Subject] = field(default_factory=Counter)
    ended: list[Subject] = field(default_factory=list)
    under_way: Counter[Subject] = field(default_factory=Counter)
    pass_over: Pass = field(init=False)
    """What the agenda does with a subject; `keep`, unless a story says otherwise."""

    async def keep(self, subject: Subject) -> datetime | None:
        """One pass."""
        self.begun[subject] += 1
        self.under_way[subject] += 1
        assert self.under_way[subject] == 1, "a subject must not be worked on twice at once"
        try:
            if server_of(subject) in self.slow:
                await self.gate.acquire()
            if self.failures:
                raise self.failures.pop(0)
        finally:
            self.under_way[subject] -= 1
        self.ended.append(subject)
        return self.hands[0] + self.next_look if self.next_look is not None else None

    def open_gate(self, number: int) -> None:
        """Let so many slow passes end."""
        for _ in range(number):
            self.gate.release()


@asynccontextmanager
async def running(work: Work) -> AsyncIterator[Agenda]:
    """An agenda at work."""
    agenda = Agenda(lambda: work.hands[0])
    work.pass_over = work.keep

    async def keep(subject: Subject) -> datetime | None:
        return await work.pass_over(subject)

    task = asyncio.create_task(agenda.run(keep))
    yield agenda
    work.open_gate(10_000)
    await agenda.drain()
    await task


async def turn() -> None:
    """Let everything run that can."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_passes_that_wait_for_a_server_take_no_place() -> None:
    work = Work(slow=frozenset({"slow"}))
    async with running(work) as agenda:

        async def keep(subject: Subject) -> datetime | None:
            with agenda.aside(subject):
                return await work.keep(subject)

        work.pass_over = keep
        for subject in [*grants(200), NEIGHBOUR]:
            agenda.wake(subject)
        await turn()
        assert work.ended == [NEIGHBOUR]
        assert sum(work.under_way.values()) == 200


async def test_a_pass_that_comes_back_from_a_server_counts_again() -> None:
    work = Work(slow=frozenset({"slow"}))
    async with running(work) as agenda:

        async def keep(subject: Subject) -> datetime | None:
            with agenda.aside(subject):
                await turn()
            return await work.keep(subject)

        work.pass_over = keep
        for subject in grants(100):
            agenda.wake(subject)
        for _ in range(10):
            await turn()
        begun = sum(work.under_way.values())
        agenda.wake(NEIGHBOUR)
        await turn()
        assert begun >= 32
        assert work.ended == [], "all places are taken, and more"


async def test_one_that_others_wait_for_goes_before_all_that_are_due() -> None:
    work = Work(slow=frozenset({"slow"}))
    async with running(work) as agenda:
        for subject in [*grants(100), NEIGHBOUR]:
            agenda.wake(subject)
        agenda.wake(NEIGHBOUR, FIRST)
        await turn()
        assert work.ended == [NEIGHBOUR]


@pytest.mark.parametrize("is_woken_again", [pytest.param(False, id="alone"), pytest.param(True, id="and something else happened to it")])
async def test_one_that_others_wait_for_goes_first_when_its_own_pass_is_over_too(*, is_woken_again: bool) -> None:
    work = Work(slow=frozenset({"slow"}))
    other, awaited, *rest = grants(100)
    async with running(work) as agenda:
        for subject in (other, awaited, *rest):
            agenda.wake(subject)
        await turn()
        agenda.wake(awaited, FIRST)
        for _ in range(2):
            if is_woken_again:
                agenda.wake(awaited)
            work.open_gate(1)
            await turn()
        assert (work.ended, work.begun[awaited]) == ([other, awaited], 2), "it need not wait for the rest"


async def test_one_that_is_woken_during_a_pass_is_looked_at_though_the_clock_is_set_back() -> None:
    work = Work(slow=frozenset({"slow"}))
    (subject,) = grants(1)
    async with running(work) as agenda:
        agenda.wake(subject)
        await turn()
        agenda.wake(subject)
        work.hands[0] -= timedelta(hours=1)
        work.open_gate(1)
        await turn()
        assert work.begun[subject] == 2


async def test_no_more_than_all_places_are_taken() -> None:
    work = Work(slow=frozenset({f"server-{n}" for n in range(10)}))
    async with running(work) as agenda:
        for n in range(10):
            for subject in grants(8, f"server-{n}"):
                agenda.wake(subject)
        await turn()
        assert sum(work.under_way.values()) == 32
        work.open_gate(80)
        await turn()
        assert len(work.ended) == 80


async def test_one_that_is_woken_often_while_it_waits_for_a_place_gets_one_pass() -> None:
    work = Work(slow=frozenset({"slow"}))
    async with running(work) as agenda:
        for _ in range(30):
            for subject in grants(80):
                if not work.under_way[subject]:
                    agenda.wake(subject)
            await turn()
        work.open_gate(1000)
        await turn()
        assert work.begun == Counter(grants(80))


async def test_what_happens_during_a_pass_makes_one_more_follow() -> None:
    work = Work(slow=frozenset({"slow"}))
    (subject,) = grants(1)
    async with running(work) as agenda:
        agenda.wake(subject)
        await turn()
        for _ in range(5):
            agenda.wake(subject)
            await turn()
        assert work.begun[subject] == 1
        work.open_gate(1)
        await turn()
        assert work.begun[subject] == 2
        work.open_gate(1)
        await turn()
        assert work.begun[subject] == 2


async def test_what_falls_due_during_a_pass_makes_one_more_follow() -> None:
    work = Work(slow=frozenset({"slow"}))
    (subject,) = grants(1)
    async with running(work) as agenda:
        agenda.wake(subject)
        await turn()
        agenda.wake(subject, work.hands[0] + SECOND)
        work.hands[0] += SECOND
        agenda.wake(NEIGHBOUR)
        await turn()
        work.open_gate(1)
        await turn()
        assert work.begun[subject] == 2


@pytest.mark.parametrize(
    "failure", [pytest.param(Unreachable("no answer"), id="in a way that is known"), pytest.param(ZeroDivisionError(), id="unexpectedly")]
)
async def test_a_pass_that_fails_is_repeated(failure: Exception) -> None:
    work = Work(failures=[failure])
    async with running(work) as agenda:
        agenda.wake(NEIGHBOUR)
        await turn()
        assert (work.begun[NEIGHBOUR], work.ended) == (1, [])
        work.hands[0] += REPEAT_AFTER - SECOND
        agenda.wake((GRANT, "another"))  # any event makes it look at the clock
        await turn()
        assert work.begun[NEIGHBOUR] == 1
        work.hands[0] += SECOND
        agenda.wake((GRANT, "another"))
        await turn()
        assert work.begun[NEIGHBOUR] == 2


async def test_the_earlier_of_two_times_counts() -> None:
    work = Work()
    async with running(work) as agenda:
        for after in (3, 2, 4):
            agenda.wake(NEIGHBOUR, work.hands[0] + after * SECOND)
        work.hands[0] += 2 * SECOND
        await turn()
        agenda.wake((GRANT, "another"))
        await turn()
        assert work.begun[NEIGHBOUR] == 1
        work.hands[0] += 9 * SECOND
        agenda.wake((GRANT, "another"))
        await turn()
        assert work.begun[NEIGHBOUR] == 1


def test_what_falls_due_close_together_is_begun_together_and_nothing_too_soon() -> None:
    due = [0.1 * n for n in range(1, 21)]

    async def story() -> dict[Subject, float]:
        begun: dict[Subject, float] = {}

        async def keep(subject: Subject) -> None:
            begun[subject] = asyncio.get_running_loop().time()

        agenda = Agenda(clock)
        running = asyncio.create_task(agenda.run(keep))
        for after in due:
            agenda.wake((GRANT, f"{after}"), START + after * SECOND)
        await pass_time(5)
        running.cancel()
        return begun

    begun = play(story)
    late = [begun[GRANT, f"{after}"] - after for after in due]
    assert all(-1e-6 < behind < 0.25 for behind in late)
    assert len(set(begun.values())) == 8, "once each quarter of a second"


async def test_what_is_due_already_is_begun_at_once() -> None:
    work = Work()
    async with running(work) as agenda:
        agenda.wake(NEIGHBOUR, work.hands[0])
        await turn()
        assert work.begun[NEIGHBOUR] == 1


async def test_an_end_waits_for_what_is_under_way_and_begins_nothing() -> None:
    work = Work(slow=frozenset({"slow"}))
    async with running(work) as agenda:
        for subject in grants(33):
            agenda.wake(subject)
        await turn()
        ending = asyncio.create_task(agenda.drain())
        await turn()
        assert agenda.is_draining
        assert not ending.done()
        agenda.wake(NEIGHBOUR)
        work.open_gate(33)
        await turn()
        assert ending.done()
        assert work.begun == Counter(grants(32))


async def test_ten_thousand_wake_ups_of_one_that_is_not_due_leave_no_heap_of_them() -> None:
    work = Work(next_look=timedelta(days=7))
    async with running(work) as agenda:
        for _ in range(10_000):
            agenda.wake(NEIGHBOUR)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        assert work.begun[NEIGHBOUR] > 1000
        assert len(agenda._heap) < 2000  # noqa: SLF001  # what it costs is nowhere to be seen but here
        work.hands[0] += timedelta(days=7)
        seen = work.begun[NEIGHBOUR]
        agenda.wake((GRANT, "another"))
        await turn()
        assert work.begun[NEIGHBOUR] == seen + 1, "what is left of them must do no work"


async def test_what_happens_after_the_clock_was_set_forward_is_not_slept_through() -> None:
    work = Work(next_look=timedelta(hours=1))
    async with running(work) as agenda:
        agenda.wake(NEIGHBOUR)
        await turn()
        work.hands[0] += timedelta(hours=2)
        agenda.wake(NEIGHBOUR)
        await turn()
        assert work.begun[NEIGHBOUR] == 2
