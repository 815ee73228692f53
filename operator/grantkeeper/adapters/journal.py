"""The journal: what an attempt has gained is on the disk of this Pod before the API server is asked to store it.

So a process that dies while the API server is away loses nothing; only the Pod may not be lost with it. An entry holds sealed
text alone: whoever reads the disk learns what a reader of the operator's namespace learns, and no more.
"""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock

import structlog

from grantkeeper.core.gains import Gain
from grantkeeper.errors import SettingsError

log = structlog.get_logger()

_SUFFIX = ".gain"
_UNFINISHED = ".unfinished"
ENOUGH = 65536
"""Bytes: room for any entry."""
WITHIN = 2.0
"""Seconds that are waited for the disk. One that hangs must not keep from the API server what only this process holds."""
AT_ONCE = 4
"""Threads, of the journal's own: those that a disk lets hang are nobody else's, and of few each is woken from not long ago."""
GOOD_FOR = 1.0
"""Seconds."""
FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


@dataclass(slots=True)
class Journal:
    """One directory that belongs to one Pod; without one nothing is written."""

    directory: Path | None
    _wanted: set[str] = field(default_factory=set)
    """Attempts whose entries are to be there: one that comes late from a disk that hung must not outlive its being forgotten."""
    _kept: set[str] = field(default_factory=set)
    """Attempts whose entries are there."""
    _good_until: float = 0.0
    """By the event loop's clock."""
    _lock: Lock = field(default_factory=Lock)
    _pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(AT_ONCE, "journal"))

    def open(self) -> None:
        """See that it can be written; SettingsError with a sentence where it cannot. One that is full can be written again some day."""
        if self.directory is None:
            return
        try:
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            for unfinished in self.directory.glob(f"*{_UNFINISHED}"):
                unfinished.unlink(missing_ok=True)  # an earlier life was killed over it, before anybody relied on it
            self._try_out()
        except OSError as error:
            if error.errno not in FULL:
                raise SettingsError(f"GRANTKEEPER_JOURNAL_DIRECTORY cannot be written ({error.strerror}); mount a volume there.") from None
            log.error("the journal's disk is full", error=error.strerror)  # noqa: TRY400

    async def can_write(self) -> bool:
        """Whether an entry could be written now: asked before a token is spent. One that could a second ago is not tried out again."""
        now = asyncio.get_running_loop().time()
        if self.directory is None or now < self._good_until:
            return True
        if is_good := await self._do(self._try_out, "the journal cannot be written"):
            self._good_until = now + GOOD_FOR
        return is_good

    async def write(self, gain: Gain) -> bool:
        """Keep a gain; whether it is on the disk. A disk that fails, or hangs, stops nothing: the commit follows at once."""
        if self.directory is None:
            return False
        self._wanted.add(gain.attempt)
        content = gain.model_dump_json().encode()
        failed = "the journal cannot be written; only the API server can keep this"
        if is_written := await self._do(lambda: self._write(gain.attempt, content), failed):
            self._kept.add(gain.attempt)
        return is_written

    def holds(self, gain: Gain) -> bool:
        """Whether a gain is on the disk, so that it may wait there."""
        return gain.attempt in self._kept

    async def forget(self, attempt: str) -> None:
        """What the gain was is stored by now."""
        self._wanted.discard(attempt)
        self._kept.discard(attempt)
        if self.directory is not None:
            await self._do(lambda: self._unlink(attempt), "an entry of the journal cannot be removed", is_owed=True)

    async def _do(self, call: Callable[[], None], failed: str, *, is_owed: bool = False) -> bool:
        """Whether the disk did it in time; what is owed is done later, if not. Threads that cannot be started count as its failure."""
        try:
            async with asyncio.timeout(WITHIN):
                doing = asyncio.get_running_loop().run_in_executor(self._pool, call)
                await (asyncio.shield(doing) if is_owed else doing)
        except Exception as error:  # noqa: BLE001  # whatever it is, the commit must follow
            log.error(failed, error=getattr(error, "strerror", None) or type(error).__name__)  # noqa: TRY400
            return False
        return True

    def read(self) -> Iterator[Gain]:
        """What an earlier life of the process could not store, or could not forget; an entry that cannot be read is left where it is."""
        for path in sorted(self.directory.glob(f"*{_SUFFIX}")) if self.directory is not None else ():
            try:
                gain = Gain.model_validate_json(path.read_bytes())
            except (OSError, ValueError):
                log.error("an entry of the journal cannot be read; it is left where it is", entry=path.name)  # noqa: TRY400
            else:
                self._kept.add(gain.attempt)
                yield gain

    def _try_out(self) -> None:
        assert self.directory is not None  # noqa: S101  # whoever calls has seen it
        probe = self.directory / f"{os.urandom(8).hex()}{_UNFINISHED}"
        try:
            with os.fdopen(os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(bytes(ENOUGH))
        finally:
            probe.unlink(missing_ok=True)

    def _write(self, name: str, content: bytes) -> None:
        assert self.directory is not None  # noqa: S101  # whoever calls has seen it
        unfinished = self.directory / f"{name}{_UNFINISHED}"
        try:
            with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            with self._lock:
                if name not in self._wanted:
                    return
                unfinished.rename(unfinished.with_suffix(_SUFFIX))
        finally:
            unfinished.unlink(missing_ok=True)
        directory = os.open(self.directory, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)

    def _unlink(self, name: str) -> None:
        assert self.directory is not None  # noqa: S101  # whoever calls has seen it
        with self._lock:
            (self.directory / f"{name}{_SUFFIX}").unlink(missing_ok=True)
