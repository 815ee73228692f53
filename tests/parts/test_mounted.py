from __future__ import annotations

import base64
import contextlib
import threading
from pathlib import Path

from parts.mounted import MountedSecret


def secret(**data: str) -> dict[str, dict[str, str]]:
    return {"data": {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}}


def names(directory: Path) -> set[str]:
    return {path.name for path in directory.iterdir()}


def test_keys_are_files_behind_two_links(tmp_path: Path) -> None:
    MountedSecret(tmp_path).show(secret(access_token="one", token_type="Bearer"))
    token = tmp_path / "access_token"
    assert token.read_text() == "one"
    assert str(token.readlink()) == "..data/access_token"
    assert str((tmp_path / "..data").readlink()).startswith("..20")


def test_a_change_moves_one_link_and_leaves_nothing_behind(tmp_path: Path) -> None:
    mounted = MountedSecret(tmp_path)
    mounted.show(secret(access_token="one", scope="a"))
    before = (tmp_path / "..data").readlink()
    assert mounted.show(secret(access_token="two", expires_at="soon"))
    assert (tmp_path / "access_token").read_text() == "two"
    assert (tmp_path / "expires_at").read_text() == "soon"
    after = (tmp_path / "..data").readlink()
    assert after != before
    assert names(tmp_path) == {"access_token", "expires_at", "..data", str(after)}


def test_the_same_secret_changes_nothing(tmp_path: Path) -> None:
    mounted = MountedSecret(tmp_path)
    mounted.show(secret(access_token="one"))
    before = (tmp_path / "..data").readlink()
    assert not mounted.show(secret(access_token="one"))
    assert (tmp_path / "..data").readlink() == before


def test_a_secret_without_data_is_an_empty_directory(tmp_path: Path) -> None:
    MountedSecret(tmp_path).show({})
    assert {name for name in names(tmp_path) if not name.startswith("..")} == set()


def test_a_reader_sees_the_old_or_the_new_and_never_a_mixture(tmp_path: Path) -> None:
    mounted = MountedSecret(tmp_path)
    mounted.show(secret(first="0", second="0"))
    ended = threading.Event()
    pairs: list[tuple[str, str]] = []

    def read() -> None:
        while not ended.is_set():
            current = (tmp_path / "..data").resolve()
            with contextlib.suppress(FileNotFoundError):  # exchanged in between: look again, as any consumer must
                pairs.append(((current / "first").read_text(), (current / "second").read_text()))

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(300):
        mounted.show(secret(first=str(number), second=str(number)))
    ended.set()
    reader.join()
    assert len(set(pairs)) > 1
    assert all(first == second for first, second in pairs)
