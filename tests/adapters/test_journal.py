from __future__ import annotations

import asyncio
import errno
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from grantkeeper.adapters import journal as journals
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
    tried: list[Journal] = []

    def try_out(journal: Journal) -> None:
        tried.append(journal)

    monkeypatch.setattr(Journal, "_try_out", try_out)
    journal = Journal(tmp_path)
    assert [await journal.can_write(), await journal.can_write()] == [True, True]
    assert len(tried) == tries


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
