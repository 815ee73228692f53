"""Lead: one replica of several works, by a Lease of the operator's namespace; the others stand by.

Whether it still leads is judged by the monotonic clock alone, so a process that was stopped for longer than its lease lasts
knows that before it does anything. Who ends in order gives the lease back when nothing is in flight any more, and the next one
leads at once.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from grantkeeper.adapters.calls import Pace
from grantkeeper.adapters.cluster import LEASES, Cluster
from grantkeeper.core.leadership import (
    LEASE_NAME,
    LOOK_EVERY,
    RENEW_EVERY,
    Lease,
    Move,
    Replica,
    judge,
    read_lease,
    surely_holds,
    wait_before_taking,
    write_lease,
)
from grantkeeper.errors import ClusterError, Conflict, NotFound

log = structlog.get_logger()

PACE = Pace(timeout=timedelta(seconds=2.5), patience=timedelta(0))
"""Of the calls about the Lease: a connection that died is noticed, and another one tried, before the lease is lost."""
TRIES = 3


@dataclass(slots=True)
class Leadership:
    """What one replica knows of who leads. `cluster` is a connection of its own, so that no other traffic holds up a renewal."""

    cluster: Cluster
    namespace: str
    us: Replica
    clock: Callable[[], datetime]
    monotonic: Callable[[], float] = time.monotonic
    pause: Callable[[float], Awaitable[None]] = asyncio.sleep
    _lease: Lease | None = None
    """As it was last read or written."""
    _seen_at: float = 0.0
    """When this version of it was first seen."""
    _renewed_at: float | None = None
    """When the last renewal that succeeded was sent; None while another leads, or nobody."""

    def holds(self) -> bool:
        """Whether this replica leads, beyond doubt: no other one can lead now."""
        return self._renewed_at is not None and surely_holds(self._renewed_ago())

    async def win(self) -> None:
        """Stand by until the lease is ours."""
        said = ""
        while not self.holds():
            wait = LOOK_EVERY
            try:
                await self._look()
                left = wait_before_taking(self._lease, self.us, unchanged_for=self._since(self._seen_at))
                if left <= timedelta(0):
                    await self._write(self.us.identity)
                    break
                wait = min(wait, left)
                news = f"{self._lease.holder if self._lease else ''} leads"
            except Conflict:
                news = "another one was faster"
            except ClusterError as error:
                news = str(error)
            if news != said:
                log.info("standing by", why=news)
                said = news
            await self.pause(wait.total_seconds())
        log.info("leading", replica=self.us.identity)

    async def keep(self) -> None:
        """Renew the lease until it is lost; from then on it does not hold."""
        try:
            while (move := judge(self._lease, self.us, renewed_ago=self._renewed_ago())) is not Move.LOSE:
                if move is Move.RENEW:
                    await self._renew()
                else:
                    await self.pause((RENEW_EVERY - self._renewed_ago()).total_seconds())
            log.warning("the lease is lost: nothing new is begun", holder=self._lease.holder if self._lease else "")
        finally:
            self._renewed_at = None

    async def give_back(self) -> None:
        """Take our name out of the Lease where it is in it; what cannot be reached lapses by itself."""
        for _ in range(TRIES if self._lease is not None else 0):
            try:
                await self._look()
                if self._lease is None or self._lease.holder != self.us.identity:
                    return
                await self._write("")
            except Conflict:
                continue  # a renewal of ours may have been on its way
            except ClusterError as error:
                log.info("the lease is not given back, and lapses", error=str(error))
            else:
                log.info("the lease is given back")
            return

    async def _renew(self) -> None:
        try:
            await self._write(self.us.identity)
        except (Conflict, NotFound):
            await self._look_again()
        except ClusterError as error:
            log.warning("the lease could not be renewed", error=str(error))
            await self.pause(LOOK_EVERY.total_seconds())

    async def _look_again(self) -> None:
        """Somebody has written it: another holder, an administrator, or we ourselves, when the answer was lost."""
        try:
            await self._look()
        except ClusterError as error:
            log.warning("the lease could not be read", error=str(error))
            await self.pause(LOOK_EVERY.total_seconds())

    async def _look(self) -> None:
        try:
            self._note(read_lease(await self.cluster.get(LEASES, self.namespace, LEASE_NAME)))
        except NotFound:
            self._note(None)

    async def _write(self, holder: str) -> None:
        """Write it in a name; what counts for us is when that was sent, for others count from when they see it."""
        sent_at = self.monotonic()
        body = write_lease(self._lease, holder, namespace=self.namespace, now=self.clock())
        if self._lease is None:
            stored = await self.cluster.create(LEASES, self.namespace, body)
        else:
            stored = await self.cluster.replace(LEASES, body)
        self._note(read_lease(stored))
        if holder and (self._renewed_at is None or self.holds()):  # else it was over before the answer came, and stays so
            self._renewed_at = sent_at

    def _note(self, lease: Lease | None) -> None:
        if lease is None or self._lease is None or lease.version != self._lease.version:
            self._seen_at = self.monotonic()
        self._lease = lease

    def _renewed_ago(self) -> timedelta:
        return self._since(self._renewed_at) if self._renewed_at is not None else timedelta.max

    def _since(self, moment: float) -> timedelta:
        return timedelta(seconds=self.monotonic() - moment)
