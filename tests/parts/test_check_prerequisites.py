from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from parts import check_prerequisites
from parts.check_prerequisites import check_python, check_system, check_venv

SOURCE = Path(check_prerequisites.__file__)
ROOT = SOURCE.parents[2]


@pytest.mark.parametrize(
    "version",
    [
        pytest.param((3, 11), id="the oldest that will do"),
        pytest.param((3, 11, 2), id="Debian 12's own"),
        pytest.param((3, 13, 0), id="a newer one"),
        pytest.param((4, 0, 0), id="one that nobody has seen"),
    ],
)
def test_a_python_that_will_do_is_met_with_silence(version: tuple[int, ...]) -> None:
    assert check_python(version) is None


@pytest.mark.parametrize(
    ("version", "said"),
    [
        pytest.param((3, 10, 14), "this is 3.10.", id="just too old, and 10 is not less than 9"),
        pytest.param((3, 9, 2), "this is 3.9.", id="Debian 11's"),
        pytest.param((3, 6, 8), "this is 3.6.", id="the oldest that can say so"),
        pytest.param((2, 7, 18), "this is 2.7.", id="another language"),
    ],
)
def test_a_python_that_is_too_old_is_told_what_to_do(version: tuple[int, ...], said: str) -> None:
    sentence = check_python(version)
    assert sentence is not None
    assert "needs Python 3.11 or newer" in sentence
    assert said in sentence
    assert "PYTHON=/path/to/python3.11" in sentence


def test_a_missing_venv_names_debians_package() -> None:
    assert check_venv([], (3, 11, 2)) is None
    sentence = check_venv(["ensurepip"], (3, 11, 2))
    assert sentence is not None
    assert "ensurepip is missing" in sentence
    assert "apt install python3.11-venv" in sentence


def test_windows_is_told_where_it_works() -> None:
    assert check_system("posix") is None
    assert "WSL" in (check_system("nt") or "")


def test_its_file_runs_on_python_3_6() -> None:
    tree = ast.parse(SOURCE.read_text(), feature_version=(3, 6))
    modules = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    assert "__future__" not in modules, "Python 3.6 has no annotations there"
    assert modules | imported <= {"importlib.util", "os", "sys", "typing"}


def test_make_says_that_there_is_no_python(tmp_path: Path) -> None:
    done = make("setup", "PYTHON=/nowhere/python3", tmp_path)
    assert done.returncode != 0
    assert "There is no /nowhere/python3; install Python 3.11 or newer" in done.stderr


def test_make_says_that_python_is_too_old(tmp_path: Path) -> None:
    old = tmp_path / "python3"
    pretend = "import sys; sys.version_info = (3, 9, 2); exec(open(sys.argv.pop(1)).read())"
    old.write_text(f'#!/bin/sh\nexec {sys.executable} -c "{pretend}" "$@"\n')
    old.chmod(0o755)
    done = make("setup", f"PYTHON={old}", tmp_path)
    assert done.returncode != 0
    assert "grantkeeper needs Python 3.11 or newer; this is 3.9." in done.stderr
    assert not (tmp_path / ".venv").exists()


def make(target: str, variable: str, directory: Path) -> subprocess.CompletedProcess[str]:
    """Run make in a copy of what it reads before anything is installed."""
    (directory / "tests" / "parts").mkdir(parents=True)
    for name in ("Makefile", "tests/parts/check_prerequisites.py"):
        shutil.copy(ROOT / name, directory / name)
    environment = {name: value for name, value in os.environ.items() if name not in {"MAKEFLAGS", "MAKELEVEL", "PYTHON"}}
    command = [shutil.which("make") or "make", target, variable]
    return subprocess.run(command, cwd=directory, env=environment, capture_output=True, text=True, check=False)
