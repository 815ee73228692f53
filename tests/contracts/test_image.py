"""The image: what its Dockerfile installs is what is pinned, and it is all that the operator needs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from grantkeeper.adapters.catalogue import load_presets

TOP = Path(__file__).parents[2]
DOCKERFILE = (TOP / "operator" / "Dockerfile").read_text()


def uv(*arguments: str | Path) -> str:
    """Run the pinned uv in a copy of nothing: from the top of the repository, as the build does."""
    done = subprocess.run([Path(sys.executable).with_name("uv"), *arguments], cwd=TOP, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.cluster  # it takes the network and some seconds, which the inner loop has not
def test_the_operator_installs_from_the_lock_and_starts_without_anything_else(tmp_path: Path) -> None:
    assert '--verify-hashes --constraint requirements.lock ".[operator]"' in DOCKERFILE
    uv("venv", "--quiet", tmp_path / "image")
    python = tmp_path / "image" / "bin" / "python"
    uv("pip", "install", "--quiet", "--python", python, "--verify-hashes", "--constraint", "requirements.lock", ".[operator]")
    for process in ("controller", "consent"):
        code = f"import grantkeeper.__main__, grantkeeper.{process}.process"
        subprocess.run([python, "-c", code], cwd=tmp_path, check=True)
    code = "from grantkeeper.adapters.catalogue import load_presets; print(*load_presets())"
    shipped = subprocess.run([python, "-c", code], cwd=tmp_path, check=True, capture_output=True, text=True).stdout
    assert shipped.split() == list(load_presets())
    installed = uv("pip", "freeze", "--python", python)
    assert "pytest" not in installed


def test_the_image_copies_nothing_that_is_not_there() -> None:
    for line in DOCKERFILE.splitlines():
        if line.startswith("COPY ") and "--from" not in line:
            *sources, _ = line.removeprefix("COPY ").split()
            assert all((TOP / source).exists() for source in sources), line
