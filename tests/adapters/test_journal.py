from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from grantkeeper.adapters import errands
from grantkeeper.adapters import journal as journals
from grantkeeper.adapters.entries import Entries
from grantkeeper.adapters.journal import Journal
from grantkeeper.core.gains import Gain
from grantkeeper.core.records import Attempt, Meta
from grantkeeper.errors import SettingsError

NOW = datetime(2026, 11, 21, 6, 30, tzinfo=UTC)
GAIN = Gain(
    uid="uid",
    namespace="team-a",
    name="alice",
    attempt="an-attempt",
    parent="parent",
    tokenset="sealed text",
    meta=Meta(generation=2, attempt="an-attempt", obtained_at=NOW, kid="kid"),
    outcome=Attempt(reason="Refreshed", time=NOW, spec_generation=1),
    requests=("sealed request",),
)

A_WHILE = 60.0
"""Seconds."""
FIVE = [GAIN.model_copy(update={"uid": f"uid-{number}", "attempt": f"attempt-{number}"}) for number in range(5)]


@pytest.fixture(autouse=True)
def _on_a_slow_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it may take long before a disk that is well has done what it was asked to."""
    monkeypatch.setattr(journals, "WITHIN", A_WHILE)
    monkeypatch.setattr(journals, "GOOD_FOR", A_WHILE)


def names(directory: Path) -> list[str]:
    return [path.name for path in directory.iterdir()]


async def test_what_is_written_is_read_by_the_next_life_until_it_is_forgotten(tmp_path: Path) -> None:
    await Journal(tmp_path).write(GAIN)
    journal = Journal(tmp_path)
    journal.open()
    assert list(journal.read()) == [GAIN]
    await journal.forget(GAIN.attempt)
    assert list(journal.read()) == []
    await journal.forget(GAIN.attempt)


def test_entries_are_for_their_owner_alone(tmp_path: Path) -> None:
    asyncio.run(Journal(tmp_path).write(GAIN))
    assert [path.stat().st_mode & 0o777 for path in tmp_path.iterdir()] == [0o600]


async def test_one_that_was_not_finished_is_no_entry_and_one_that_cannot_be_read_is_left(tmp_path: Path) -> None:
    (tmp_path / "cut.unfinished").write_bytes(b'{"uid":')
    (tmp_path / "spoiled.gain").write_bytes(b'{"uid":')
    await Journal(tmp_path).write(GAIN)
    assert list(Journal(tmp_path).read()) == [GAIN]
    assert (tmp_path / "spoiled.gain").exists()


async def test_without_a_directory_nothing_is_kept() -> None:
    journal = Journal(None)
    journal.open()
    await journal.write(GAIN)
    await journal.forget(GAIN.attempt)
    assert list(journal.read()) == []


async def test_it_is_on_the_disk_before_it_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []
    monkeypatch.setattr(os, "fsync", lambda number: synced.append(str(Path(f"/proc/self/fd/{number}").readlink())))
    await Journal(tmp_path).write(GAIN)
    assert synced == [str(tmp_path / "an-attempt.unfinished"), str(tmp_path)]


def test_a_directory_that_cannot_be_written_is_said_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(SettingsError, match=r"GRANTKEEPER_JOURNAL_DIRECTORY cannot be written .*; mount a volume there"):
        Journal(tmp_path / "file" / "journal").open()


async def test_a_disk_that_fails_stops_no_commit(tmp_path: Path) -> None:
    assert not await Journal(tmp_path / "gone" / "meanwhile").write(GAIN)
    assert not await Journal(tmp_path / "gone" / "meanwhile").can_write()


@pytest.mark.parametrize(("seconds", "tries"), [(60.0, 1), (0.0, 2)])
async def test_a_disk_that_was_good_a_moment_ago_is_not_tried_out_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds: float, tries: int
) -> None:
    monkeypatch.setattr(journals, "GOOD_FOR", seconds)
    tried: list[Entries] = []

    def try_out(entries: Entries, _: list[None]) -> None:
        tried.append(entries)

    monkeypatch.setattr(Entries, "try_out", try_out)
    journal = Journal(tmp_path)
    assert [await journal.can_write(), await journal.can_write()] == [True, True]
    assert len(tried) == tries


async def test_what_was_written_or_could_not_be_says_whether_the_disk_is_good(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[object] = []
    monkeypatch.setattr(Entries, "try_out", lambda *_: tried.append(1))

    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    journal = Journal(tmp_path)
    await journal.write(GAIN)
    assert await journal.can_write()
    assert not tried
    monkeypatch.setattr(Entries, "write", fail)
    await journal.write(GAIN)
    assert await journal.can_write()
    assert tried


async def test_nothing_unfinished_is_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "by a kill.unfinished").write_bytes(b"")
    journal = Journal(tmp_path)
    journal.open()
    assert await journal.can_write()
    assert names(tmp_path) == []

    def fail(_: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", fail)
    assert not await journal.write(GAIN)
    assert names(tmp_path) == []


# Several at once


def noting(note: Callable[..., None], call: Callable[..., Any]) -> Callable[..., Any]:
    """The call; what it is given is noted first."""

    def noted(*given: object) -> Any:
        note(*given)
        return call(*given)

    return noted


@contextmanager
def busy(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """While the disk does something else."""
    is_over = Event()
    with monkeypatch.context() as hanging:
        hanging.setattr(Entries, "try_out", lambda *_: is_over.wait(10))
        trying = asyncio.ensure_future(journal.can_write())
        yield
        is_over.set()
        trying.add_done_callback(lambda done: done.result())


async def write_together(journal: Journal, monkeypatch: pytest.MonkeyPatch, *others: Gain) -> list[bool]:
    """Write five, and others, while the disk is busy."""
    with busy(journal, monkeypatch):
        await asyncio.sleep(0)
        writes = [asyncio.ensure_future(journal.write(gain)) for gain in (*FIVE, *others)]
        await asyncio.sleep(0)
    return await asyncio.gather(*writes)


def forget_all(journal: Journal, gains: list[Gain]) -> None:
    for gain in gains:
        journal.forget_soon(gain.attempt)


def lives_on(directory: Path) -> list[Gain]:
    """What another life finds."""
    return list(Journal(directory).read())


async def test_what_comes_while_the_disk_is_busy_is_written_at_once_and_told_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced, told, tell, journal = [], [], errands._tell, Journal(tmp_path)  # noqa: SLF001
    monkeypatch.setattr(os, "fsync", lambda number: synced.append(str(Path(f"/proc/self/fd/{number}").readlink())))
    monkeypatch.setattr(errands, "_tell", noting(lambda waiters: told.append(len(waiters)), tell))
    assert await write_together(journal, monkeypatch) == [True] * 5
    assert synced == [str(tmp_path / "attempt-0.unfinished"), str(tmp_path)]
    assert told == [1, 5]
    assert all(journal.holds(gain) for gain in FIVE)
    assert [path.stat().st_mode & 0o777 for path in tmp_path.iterdir()] == [0o600]  # noqa: ASYNC240
    assert lives_on(tmp_path) == FIVE


async def test_what_is_forgotten_of_several_is_gone_though_the_others_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = Journal(tmp_path)
    await write_together(journal, monkeypatch)
    await journal.forget("attempt-0")
    await journal.forget("attempt-3")
    assert lives_on(tmp_path) == [FIVE[1], FIVE[2], FIVE[4]]
    another = Journal(tmp_path)
    for gain in list(another.read()):
        assert names(tmp_path) == ["attempt-0.gain"]
        await another.forget(gain.attempt)
    assert names(tmp_path) == []


async def test_a_file_that_can_be_read_in_part_is_read_so_and_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    await write_together(Journal(tmp_path), monkeypatch)
    (path,) = tmp_path.iterdir()  # noqa: ASYNC240
    lines = path.read_bytes().split(b"\n")
    path.write_bytes(b"\n".join([lines[0], b"spoiled", *lines[2:4], lines[4][:-9]]))
    journal = Journal(tmp_path)
    found = list(journal.read())
    assert found == [FIVE[0], FIVE[2], FIVE[3]]
    for gain in found:
        await journal.forget(gain.attempt)
    assert lives_on(tmp_path) == []
    assert (b"spoiled" in path.read_bytes(), lines[4][:-9] in path.read_bytes()) == (True, True)


async def test_if_one_cannot_be_written_none_of_them_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    journal = Journal(tmp_path)
    assert await write_together(journal, monkeypatch) == [False] * 5
    assert not any(journal.holds(gain) for gain in FIVE)
    assert names(tmp_path) == []


async def test_what_comes_late_from_a_disk_that_hung_comes_without_what_is_forgotten_by_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    goes_on, sync = Event(), os.fsync
    monkeypatch.setattr(os, "fsync", lambda number: goes_on.wait(10) and sync(number))
    monkeypatch.setattr(journals, "WITHIN", 0.2)
    renamed: list[bytes] = []
    rename = Path.rename
    monkeypatch.setattr(Path, "rename", noting(lambda path, _: renamed.append(path.read_bytes()), rename))
    journal = Journal(tmp_path)
    assert await write_together(journal, monkeypatch) == [False] * 5
    for gain in FIVE[:2]:
        await journal.forget(gain.attempt)
    goes_on.set()
    monkeypatch.setattr(journals, "WITHIN", A_WHILE)
    await journal.settle()
    assert lives_on(tmp_path) == FIVE[2:]
    assert not any(gain.attempt.encode() in content for gain in FIVE[:2] for content in renamed), "not even for a moment"


async def test_what_is_forgotten_before_it_was_written_is_never_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journals, "WITHIN", 0.05)
    journal = Journal(tmp_path)
    synced: list[int] = []
    with busy(journal, monkeypatch):
        await asyncio.sleep(0)
        assert not await journal.write(GAIN)
        await journal.forget(GAIN.attempt)
        monkeypatch.setattr(os, "fsync", synced.append)
    monkeypatch.setattr(journals, "WITHIN", A_WHILE)
    await journal.settle()
    assert (names(tmp_path), synced) == ([], [])


# Forgetting what is stored


async def test_what_is_stored_is_forgotten_soon_and_together_without_anybody_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    removed: list[list[list[str]]] = []
    remove, journal = Entries.remove, Journal(tmp_path)
    monkeypatch.setattr(Entries, "remove", noting(lambda _, forgotten: removed.append(forgotten), remove))
    await write_together(journal, monkeypatch)
    forget_all(journal, FIVE)
    assert not any(journal.holds(gain) for gain in FIVE)
    async with asyncio.timeout(20):
        while names(tmp_path):  # noqa: ASYNC110  # a disk tells nobody
            await asyncio.sleep(0.005)
    assert removed == [[[gain.attempt for gain in FIVE]]]


async def test_what_is_owed_goes_with_the_next_entry_after_it_and_before_that_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journals, "SOON", 60.0)
    journal, order = Journal(tmp_path), []
    await write_together(journal, monkeypatch)
    forget_all(journal, FIVE)
    for name in ("write", "remove"):
        note = noting(lambda _, asked, name=name: order.append((name, len(asked))), getattr(Entries, name))
        monkeypatch.setattr(Entries, name, note)
    with busy(journal, monkeypatch):
        writing = asyncio.ensure_future(journal.write(GAIN))
        await asyncio.sleep(0)
    assert await writing
    assert order == [("write", 1), ("remove", 1)]
    assert lives_on(tmp_path) == [GAIN]


async def test_at_the_end_nothing_is_owed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journals, "SOON", 60.0)
    journal = Journal(tmp_path)
    await write_together(journal, monkeypatch, GAIN)
    forget_all(journal, FIVE)
    await journal.settle()
    assert lives_on(tmp_path) == [GAIN]
    await journal.forget(GAIN.attempt)
    assert names(tmp_path) == []
