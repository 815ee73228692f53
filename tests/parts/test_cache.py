from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from parts import cache


@pytest.fixture(autouse=True)
def _cache_of_a_test(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def test_it_is_the_users_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cache.root() == tmp_path / "grantkeeper"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache.root() == Path.home() / ".cache" / "grantkeeper"


def test_what_is_there_is_not_made_again() -> None:
    made: list[Path] = []
    assert cache.obtain("thing", made.append) == cache.obtain("thing", made.append) == cache.root() / "thing"
    assert len(made) == 1


def test_what_failed_half_way_leaves_nothing() -> None:
    def fail(directory: Path) -> None:
        (directory / "half").write_text("x")
        raise RuntimeError("the build failed")

    with pytest.raises(RuntimeError, match="the build failed"):
        cache.obtain("thing", fail)
    assert [path.name for path in cache.root().iterdir()] == ["thing.lock"]


def test_two_that_ask_at_once_make_it_once() -> None:
    made: list[Path] = []

    def make(directory: Path) -> None:
        time.sleep(0.2)
        made.append(directory)

    askers = [threading.Thread(target=cache.obtain, args=("thing", make)) for _ in range(2)]
    for asker in askers:
        asker.start()
    for asker in askers:
        asker.join()
    assert len(made) == 1


def test_another_content_is_another_key(tmp_path: Path) -> None:
    pins = tmp_path / "go.mod"
    pins.write_text("one")
    before = cache.key_of(pins)
    pins.write_text("two")
    assert cache.key_of(pins) != before
