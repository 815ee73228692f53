"""The journal: what an attempt has gained is on the disk of this Pod before the API server is asked to store it.

So a process that dies while the API server is away loses nothing; only the Pod may not be lost with it. An entry holds sealed
text alone: whoever reads the disk learns what a reader of the operator's namespace learns, and no more.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import structlog

from grantkeeper.core.gains import Gain
from grantkeeper.errors import SettingsError

log = structlog.get_logger()

_SUFFIX = ".gain"
THREADS = 4
"""As many as wait for one disk to some purpose; each more is one that has to be woken from longer ago."""


@dataclass(frozen=True, slots=True)
class Journal:
    """One directory that belongs to one Pod; without one nothing is written."""

    directory: Path | None
    _threads: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(THREADS, thread_name_prefix="journal"))

    def open(self) -> None:
        """See that it can be written; SettingsError with a sentence where it cannot."""
        if self.directory is None:
            return
        try:
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._write("probe", b"")
            (self.directory / f"probe{_SUFFIX}").unlink()
        except OSError as error:
            raise SettingsError(f"GRANTKEEPER_JOURNAL_DIRECTORY cannot be written ({error.strerror}); mount a volume there.") from None

    async def write(self, gain: Gain) -> None:
        """Keep a gain; it is on the disk when this returns. A disk that fails stops nothing: the commit follows at once."""
        if self.directory is None:
            return
        try:
            await self._do(partial(self._write, gain.attempt, gain.model_dump_json().encode()))
        except OSError as error:
            log.error("the journal cannot be written; only the API server can keep this", error=error.strerror)  # noqa: TRY400

    async def forget(self, attempt: str) -> None:
        """What the gain was is stored by now."""
        if self.directory is None:
            return
        with suppress(FileNotFoundError):
            await self._do((self.directory / f"{attempt}{_SUFFIX}").unlink)

    def read(self) -> Iterator[Gain]:
        """What an earlier life of the process could not store, or could not forget; an entry that cannot be read is left where it is."""
        for path in sorted(self.directory.glob(f"*{_SUFFIX}")) if self.directory is not None else ():
            try:
                yield Gain.model_validate_json(path.read_bytes())
            except (OSError, ValueError):
                log.error("an entry of the journal cannot be read; it is left where it is", entry=path.name)  # noqa: TRY400

    async def _do(self, work: Callable[[], None]) -> None:
        await asyncio.get_running_loop().run_in_executor(self._threads, work)

    def _write(self, name: str, content: bytes) -> None:
        assert self.directory is not None  # noqa: S101  # whoever calls has seen it
        unfinished = self.directory / f"{name}.unfinished"
        with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        unfinished.rename(unfinished.with_suffix(_SUFFIX))
        directory = os.open(self.directory, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
