"""What befalls the replicas: killed, stopped, cut off; at any moment by chance, or at a step of the protocol. And their next lives.

A replica that is gone is started again as kubelet does it: the same Pod, the same directory, another life. Now and then the Pod is
lost with its node, and another one comes in its place, with an empty journal.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from random import Random
from time import time

import httpx

from chaos.entries import read_entries
from chaos.evidence import BY_ITSELF, Entry, Evidence, Kind, Mishap, brief
from chaos.settings import Settings
from chaos.wires import Wire
from grantkeeper.failpoints import VARIABLE
from parts.launcher import Container, Installation

LEASE = "/apis/coordination.k8s.io/v1/namespaces/grantkeeper/leases/grantkeeper-controller"
LOOK_EVERY = 0.1
KILLS_AT = (
    "refresh.prepared", "refresh.claimed", "refresh.sending", "refresh.sent", "refresh.answered", "refresh.sealed", "refresh.noting",
    "commit.journaled", "commit.journaled", "commit.stored", "commit.forgotten", "deliver.writing", "report.writing",
)  # fmt: skip
STOPS_AT = ("refresh.claimed", "refresh.sent", "commit.journaled", "deliver.writing", "report.writing")


@dataclass(eq=False, slots=True)
class Replica:
    """One of the places that the Deployment has, whatever Pod is in it now."""

    container: Container
    wire: Wire
    stopped: tuple[float, str, float] | None = None
    """Since when, by what, and until when."""
    starts_at: float | None = None
    """When its next life is to begin; None while it lives."""
    loses_pod: bool = False
    is_replaced: bool = False
    """Its Pod is being made anew."""
    killed_by: str = ""
    """How it is being killed; empty where it died by itself."""
    plan: str = ""
    """The failpoint of this life."""
    last: int = -1
    """The place of its last kill among the mishaps, until its next life begins."""

    @property
    def pod(self) -> str:
        """The Pod's uid."""
        return str(self.container.pod["metadata"]["uid"])

    @property
    def name(self) -> str:
        """The Pod's name."""
        return str(self.container.pod["metadata"]["name"])

    @property
    def state(self) -> str:
        """The process's state (proc(5)); empty where it is gone."""
        with suppress(FileNotFoundError, IndexError):
            return Path(f"/proc/{self.container.pid}/stat").read_text().rpartition(")")[2].split()[0]
        return ""

    @property
    def journal(self) -> Path:
        """Where it keeps its journal."""
        return Path(self.container.environment["GRANTKEEPER_JOURNAL_DIRECTORY"])


@dataclass(slots=True)
class Fury:
    """Does all of it, and writes it down."""

    installation: Installation
    replicas: list[Replica]
    evidence: Evidence
    settings: Settings
    client: httpx.AsyncClient
    count_calls: Callable[[], int]
    leader: str = ""
    """The uid of the Pod that is in the Lease."""
    blows: bool = True
    _chance: Random = field(init=False)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._chance = Random(f"{self.settings.seed}/mishaps")  # noqa: S311  # to be repeatable, not secret

    async def tend(self) -> None:
        """Until cancelled: see who leads, who is gone and who stands still, and begin the next lives."""
        while True:
            await self._see_leader()
            for replica in self.replicas:
                self._tend(replica)
            await asyncio.sleep(LOOK_EVERY)

    async def kill(self) -> None:
        """Kill somebody after so many refreshes, again and again."""
        next_at = self.count_calls() + self._chance.randint(*self.settings.calls_a_kill)
        while True:
            await asyncio.sleep(LOOK_EVERY)
            if not self.blows or self.count_calls() < next_at or self.count(Kind.KILL) == self.settings.most_kills:
                continue
            if (chosen := self._choose(self.settings.leader_share)) is not None:
                chosen.killed_by = "at random"
                chosen.loses_pod = self._chance.random() < 0.04
                chosen.container.kill()
                self._tend(chosen)
            next_at = self.count_calls() + self._chance.randint(*self.settings.calls_a_kill)

    async def torment(self) -> None:
        """Stop somebody, or cut them off, again and again."""
        while True:
            await asyncio.sleep(self._chance.expovariate(1 / self.settings.mishap_every))
            if not self.blows or (chosen := self._choose(0.5)) is None:
                continue
            drawn = self._chance.random()
            if drawn < 0.25:
                self._stop(chosen, self._chance.uniform(0.5, 9.0), "at random")
            elif drawn < 0.33:
                self._stop(chosen, self._chance.uniform(*self.settings.frozen), "at random")
            else:
                self._cut(chosen)

    def count(self, kind: Kind) -> int:
        """How many of a kind were our doing."""
        return sum(mishap.kind is kind and mishap.step != BY_ITSELF for mishap in self.evidence.mishaps)

    def calm(self) -> None:
        """Nothing more is done; who stands still goes on, and who is gone begins its next life at once."""
        self.blows = False
        for replica in self.replicas:
            replica.wire.mend()
            if replica.stopped is not None:
                self._go_on(replica)
            if replica.starts_at is not None:
                replica.starts_at = 0.0

    async def _see_leader(self) -> None:
        with suppress(httpx.TransportError):
            answer = await self.client.get(LEASE)
            parts = (answer.json()["spec"].get("holderIdentity") or "").split("/") if answer.is_success else []
            self.leader = parts[1] if len(parts) == 3 else ""

    def _choose(self, leader_share: float) -> Replica | None:
        living = [replica for replica in self.replicas if replica.starts_at is None and replica.stopped is None]
        leading = [replica for replica in living if replica.pod == self.leader]
        if leading and self._chance.random() < leader_share:
            return leading[0]
        return self._chance.choice(living) if living else None

    def _tend(self, replica: Replica) -> None:
        now = time()
        if replica.starts_at is not None:
            if now >= replica.starts_at and not replica.is_replaced:
                self._begin_life(replica)
        elif not replica.container.is_alive:
            self._mourn(replica, now)
        elif replica.stopped is not None:
            if now >= replica.stopped[2]:
                self._go_on(replica)
        elif replica.state == "T":
            replica.stopped = (now, replica.plan, now + self._chance.uniform(*self.settings.frozen))

    def _mourn(self, replica: Replica, now: float) -> None:
        """Write down how it died, and when it is to live again."""
        was_killed = replica.container.wait(1) == -signal.SIGKILL
        if replica.stopped is not None:
            self._note_stop(replica, now)
        step = (replica.killed_by or replica.plan or BY_ITSELF) if was_killed else BY_ITSELF
        self.evidence.mishaps.append(
            Mishap(Kind.KILL, replica.pod, now, inf, replica.pod == self.leader, step, read_journal(replica.journal), replica.loses_pod)
        )
        replica.last = len(self.evidence.mishaps) - 1
        drawn = self._chance.random()
        wait = self._chance.uniform(0, 0.5) if drawn < 0.8 else self._chance.uniform(1, 4) if drawn < 0.95 else self._chance.uniform(16, 20)
        replica.starts_at = now + (wait if self.blows else 0.0)

    def _begin_life(self, replica: Replica) -> None:
        if replica.loses_pod:
            if any(other.is_replaced for other in self.replicas):
                return  # one after the other, so that nobody takes the Pod that was made for another
            replica.is_replaced = True
            self._tasks.add(task := asyncio.create_task(self._replace(replica)))
            task.add_done_callback(self._tasks.discard)
            return
        replica.plan = self._draw_failpoint()
        replica.container.start(**({VARIABLE: replica.plan} if replica.plan else {}))
        self._note_life(replica)

    async def _replace(self, replica: Replica) -> None:
        pod = await asyncio.to_thread(self.installation.await_successor, replica.container)
        replica.container = self.installation.run_successor(replica.container, pod)
        replica.is_replaced, replica.loses_pod, replica.plan = False, False, ""
        self._note_life(replica)

    def _note_life(self, replica: Replica) -> None:
        replica.starts_at, replica.killed_by = None, ""
        if replica.last >= 0:
            mishaps = self.evidence.mishaps
            mishaps[replica.last] = mishaps[replica.last]._replace(ended_at=time())
        replica.last = -1

    def _draw_failpoint(self) -> str:
        if not self.blows or self._chance.random() >= self.settings.failpoint_share:
            return ""
        at = f"@{self._chance.randint(1, self.settings.failpoint_within)}"
        if self.settings.failpoints:
            return self._chance.choice(self.settings.failpoints) + at
        is_kill = self._chance.random() < 0.85
        return f"{self._chance.choice(KILLS_AT)}:kill{at}" if is_kill else f"{self._chance.choice(STOPS_AT)}:stop{at}"

    def _stop(self, replica: Replica, seconds: float, how: str) -> None:
        now = time()
        replica.container.kill(signal.SIGSTOP)
        replica.stopped = (now, how, now + seconds)

    def _go_on(self, replica: Replica) -> None:
        self._note_stop(replica, time())
        replica.container.kill(signal.SIGCONT)

    def _note_stop(self, replica: Replica, now: float) -> None:
        assert replica.stopped is not None
        began_at, how, _ = replica.stopped
        self.evidence.mishaps.append(Mishap(Kind.STOP, replica.pod, began_at, now, replica.pod == self.leader, how))
        replica.stopped = None

    def _cut(self, replica: Replica) -> None:
        wire, now, drawn = replica.wire, time(), self._chance.random()
        seconds, how = 0.0, ""
        if drawn < 0.3:
            wire.lose_answers(self._chance.randint(1, 4))
            how = "answers lost"
        elif drawn < 0.5:
            wire.cut()
            how = "connections reset"
        elif drawn < 0.75:
            seconds, how = self._chance.uniform(2.0, 10.0), "slow"
            wire.slow(self._chance.uniform(0.05, 0.8), seconds)
        else:
            seconds, how = self._chance.uniform(0.5, 6.0) if self._chance.random() < 0.7 else self._chance.uniform(11.0, 18.0), "refused"
            wire.refuse(seconds)
        self.evidence.mishaps.append(Mishap(Kind.CUT, replica.pod, now, now + seconds, replica.pod == self.leader, how))


def read_journal(directory: Path) -> tuple[Entry, ...]:
    """The gains that a process left in its journal."""
    return tuple(Entry(brief(gain["outcome"]["hash"] or ""), written_at) for gain, written_at in read_entries(directory))
