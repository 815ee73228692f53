"""The journal: what an attempt has gained is on the disk of this Pod before the API server is asked to store it.

So a process that dies while the API server is away loses nothing; only the Pod may not be lost with it. An entry holds sealed
text alone: whoever reads the disk learns what a reader of the operator's namespace learns, and no more.
"""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from grantkeeper.adapters.entries import Entries
from grantkeeper.adapters.errands import Call, Errands, What
from grantkeeper.core.gains import Gain
from grantkeeper.errors import SettingsError

log = structlog.get_logger()

WITHIN = 2.0
"""Seconds that are waited for the disk. One that hangs must not keep from the API server what only this process holds."""
GOOD_FOR = 1.0
"""Seconds."""
SOON = 0.05
"""Seconds: what is stored at about the same time is forgotten together.

No longer: should the process die meanwhile, and another leader refresh the grant before its next life reads the entry, what is
overtaken would pass for what came second.
"""
FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


@dataclass(slots=True)
class Journal:
    """One directory that belongs to one Pod; without one nothing is written."""

    directory: Path | None
    _wanted: set[str] = field(default_factory=set)
    """Attempts whose entries are to be there: one that comes late from a disk that hung must not outlive its being forgotten."""
    _kept: set[str] = field(default_factory=set)
    """Attempts whose entries are there."""
    _owed: list[str] = field(default_factory=list)
    """Attempts whose entries are to go soon."""
    _soon: asyncio.TimerHandle | None = None
    _good_until: float = 0.0
    """By the event loop's clock."""
    _errands: Errands = field(default_factory=lambda: Errands("journal"))
    _entries: Entries | None = field(init=False)

    def __post_init__(self) -> None:
        self._entries = Entries(self.directory, self._wanted.__contains__) if self.directory is not None else None

    def open(self) -> None:
        """See that it can be written; SettingsError with a sentence where it cannot. One that is full can be written again some day."""
        if self._entries is None:
            return
        try:
            self._entries.open()
        except OSError as error:
            if error.errno not in FULL:
                raise SettingsError(f"GRANTKEEPER_JOURNAL_DIRECTORY cannot be written ({error.strerror}); mount a volume there.") from None
            log.error("the journal's disk is full", error=error.strerror)  # noqa: TRY400

    async def can_write(self) -> bool:
        """Whether an entry could be written now: asked before a token is spent. One that could a second ago is not tried out again."""
        now = asyncio.get_running_loop().time()
        if self._entries is None or now < self._good_until:
            return True
        is_good = await self._do(self._entries.try_out, None, "the journal cannot be written")
        self._good_until = now + GOOD_FOR if is_good else 0.0
        return is_good

    async def write(self, gain: Gain) -> bool:
        """Keep a gain; whether it is on the disk. A disk that fails, or hangs, stops nothing: the commit follows at once."""
        if self._entries is None:
            return False
        self._wanted.add(gain.attempt)
        entry = gain.attempt, gain.model_dump_json().encode()
        self._leave_owed()  # so that of one grant no entry is there beside a later one when that is stored
        failed = "the journal cannot be written; only the API server can keep this"
        now = asyncio.get_running_loop().time()
        if is_written := await self._do(self._entries.write, entry, failed):
            self._kept.add(gain.attempt)
        self._good_until = now + GOOD_FOR if is_written else 0.0
        return is_written

    def holds(self, gain: Gain) -> bool:
        """Whether a gain is on the disk, so that it may wait there."""
        return gain.attempt in self._kept

    async def forget(self, attempt: str) -> None:
        """What the gain was is wanted no more, or kept elsewhere: its entry must be gone before anything else is done."""
        self._let_go(attempt)
        await self.settle()

    def forget_soon(self, attempt: str) -> None:
        """What the gain was is stored by now: an entry that is found again does nothing, so nobody waits until it is gone."""
        self._let_go(attempt)
        if self._soon is None and self._owed:
            self._soon = asyncio.get_running_loop().call_later(SOON, self._pay)

    async def settle(self) -> None:
        """See that what is to go is gone."""
        if self._entries is not None:
            await self._do(self._entries.remove, self._take_owed(), "an entry of the journal cannot be removed")

    def read(self) -> Iterator[Gain]:
        """What an earlier life of the process could not store, or could not forget; an entry that cannot be read is left where it is."""
        for gain in self._entries.read() if self._entries is not None else ():
            self._kept.add(gain.attempt)
            yield gain

    def _let_go(self, attempt: str) -> None:
        self._wanted.discard(attempt)
        self._kept.discard(attempt)
        if self._entries is not None:
            self._owed.append(attempt)

    def _take_owed(self) -> list[str]:
        if self._soon is not None:
            self._soon.cancel()
        owed, self._owed, self._soon = self._owed, [], None
        return owed

    def _leave_owed(self) -> None:
        if self._entries is not None and self._owed:
            self._errands.leave(self._entries.remove, self._take_owed())

    def _pay(self) -> None:
        self._leave_owed()
        self._errands.begin()

    async def _do(self, call: Call[What], what: What, failed: str) -> bool:
        """Whether the disk did it in time; if not, it may yet. Threads that cannot be started count as its failure."""
        try:
            async with asyncio.timeout(WITHIN):
                failure = await self._errands.run(call, what)
        except Exception as error:  # noqa: BLE001  # whatever it is, the commit must follow
            failure = error
        if failure is not None:
            log.error(failed, error=getattr(failure, "strerror", None) or type(failure).__name__)
        return failure is None
