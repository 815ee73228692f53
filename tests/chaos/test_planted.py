from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from chaos.planted import HERE, PLANTS
from chaos.planted.planting import apply
from parts import PartFailed

ROOT = Path(__file__).parents[2]


def test_each_mistake_has_its_patch_and_each_patch_its_storm() -> None:
    assert {path.stem for path in HERE.glob("*.patch")} == PLANTS.keys()


@pytest.mark.parametrize("name", sorted(PLANTS))
def test_each_patch_still_applies(name: str, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "operator", tmp_path / "operator", ignore=shutil.ignore_patterns("__pycache__"))
    apply((HERE / f"{name}.patch").read_text(), tmp_path)
    changed = [p for p in (tmp_path / "operator").rglob("*.py") if p.read_text() != (ROOT / p.relative_to(tmp_path)).read_text()]
    assert len(changed) == 1
    compile(changed[0].read_text(), changed[0].name, "exec")


def test_a_patch_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one\ntwo\ntwo\n")
    with pytest.raises(PartFailed, match=r"a\.txt is no longer what the patch was made for"):
        apply("--- a/a.txt\n+++ b/a.txt\n@@ -1,1 +1,1 @@\n-three\n+four\n", tmp_path)
    with pytest.raises(PartFailed):
        apply("--- a/a.txt\n+++ b/a.txt\n@@ -1,1 +1,1 @@\n-two\n+four\n", tmp_path)
    apply("--- a/a.txt\n+++ b/a.txt\n@@ -1,2 +1,2 @@\n one\n-two\n+four\n", tmp_path)
    assert (tmp_path / "a.txt").read_text() == "one\nfour\ntwo\n"
