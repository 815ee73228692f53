"""The journal's entries as files: what is written together becomes the lines of one file, one entry a line.

A file goes when all its entries are forgotten. One that is forgotten while others in its file still wait is struck out: its first
byte is overwritten, which no kill can do by halves. Left there, it would be stored over what has come since, or be kept aside.

All of this is slow when the disk is; `read` apart, it is called in one thread.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from grantkeeper.core.gains import Gain

log = structlog.get_logger()

_SUFFIX = ".gain"
_UNFINISHED = ".unfinished"
_STRUCK_OUT = b"-"
"""In the place of the brace that an entry begins with."""
ENOUGH = 65536
"""Bytes: room for any entry."""


@dataclass(slots=True, eq=False)
class _File:
    path: Path
    held: dict[str, int] = field(default_factory=dict)
    """Where each entry begins, in bytes, by its attempt."""
    is_readable: bool = True
    """Whether all of it could be read."""


@dataclass(slots=True)
class Entries:
    """What is in one directory. `is_wanted` says of an attempt whether its entry is to be there still."""

    directory: Path
    is_wanted: Callable[[str], bool]
    _files: dict[str, _File] = field(default_factory=dict)
    """By the attempt of each entry in them."""

    def open(self) -> None:
        """Make the directory, remove what an earlier life was killed over before anybody relied on it, and try it out; OSError."""
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        for unfinished in self.directory.glob(f"*{_UNFINISHED}"):
            unfinished.unlink(missing_ok=True)
        self.try_out([])

    def try_out(self, _: list[None]) -> None:
        """Write as much as any entry needs, and remove it; OSError where that fails."""
        probe = self.directory / f"{os.urandom(8).hex()}{_UNFINISHED}"
        try:
            with _written(probe, bytes(ENOUGH)):
                pass
        finally:
            probe.unlink(missing_ok=True)

    def write(self, gains: list[tuple[str, bytes]]) -> None:
        """Put entries on the disk, each an attempt and one line of JSON: all that are wanted still, or, by OSError, none for certain."""
        while wanted := [(attempt, line) for attempt, line in gains if self.is_wanted(attempt)]:
            if self._write(wanted):
                return

    def remove(self, forgotten: list[list[str]]) -> None:
        """Remove the entries of these attempts, where they are; what cannot be removed is left."""
        struck: dict[_File, list[int]] = {}
        for attempt in (attempt for attempts in forgotten for attempt in attempts):
            if (file := self._files.pop(attempt, None)) is not None:
                struck.setdefault(file, []).append(file.held.pop(attempt))
        for file, places in struck.items():
            try:
                if file.held or not file.is_readable:
                    _strike_out(file.path, places)
                else:
                    file.path.unlink(missing_ok=True)
            except OSError as error:
                log.error("an entry of the journal cannot be removed", entry=file.path.name, error=error.strerror)  # noqa: TRY400

    def read(self) -> Iterator[Gain]:
        """What can be read of all that is there. The rest is left where it is, and said."""
        for path in sorted(self.directory.glob(f"*{_SUFFIX}")):
            file = _File(path)
            gains = list(_read(file))
            self._files.update((gain.attempt, file) for gain in gains)
            if not file.is_readable:
                log.error("an entry of the journal cannot be read; it is left where it is", entry=path.name)
            yield from gains

    def _write(self, wanted: list[tuple[str, bytes]]) -> bool:
        """Whether they are there; not where one was forgotten meanwhile, for it must not come late from a disk that hung."""
        name = wanted[0][0]
        unfinished, file = self.directory / f"{name}{_UNFINISHED}", _File(self.directory / f"{name}{_SUFFIX}")
        try:
            with _written(unfinished, b"\n".join(line for _, line in wanted)) as descriptor:
                os.fsync(descriptor)
                if not all(self.is_wanted(attempt) for attempt, _ in wanted):
                    unfinished.unlink()
                    return False
                unfinished.rename(file.path)
                self._note(file, wanted)
                self._sync()
        except OSError:
            unfinished.unlink(missing_ok=True)
            raise
        return True

    def _note(self, file: _File, written: list[tuple[str, bytes]]) -> None:
        place = 0
        for attempt, line in written:
            file.held[attempt], self._files[attempt] = place, file
            place += len(line) + 1

    def _sync(self) -> None:
        directory = os.open(self.directory, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)


@contextmanager
def _written(path: Path, content: bytes) -> Iterator[int]:
    """A file for its owner alone that holds this, open still."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        while content:
            content = content[os.write(descriptor, content) :]
        yield descriptor
    finally:
        os.close(descriptor)


def _read(file: _File) -> Iterator[Gain]:
    """What can be read of a file, which learns what it holds."""
    place = 0
    try:
        lines = file.path.read_bytes().split(b"\n")
    except OSError:
        file.is_readable, lines = False, []
    for line in lines:
        if not line.startswith(_STRUCK_OUT):
            try:
                gain = Gain.model_validate_json(line)
            except ValueError:
                file.is_readable = False
            else:
                file.held[gain.attempt] = place
                yield gain
        place += len(line) + 1


def _strike_out(path: Path, places: list[int]) -> None:
    descriptor = os.open(path, os.O_WRONLY)
    try:
        for place in places:
            os.pwrite(descriptor, _STRUCK_OUT, place)
    finally:
        os.close(descriptor)
