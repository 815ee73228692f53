"""The whole demo, as a person starts it: it proves what it says, and leaves nothing running however it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from demo.checking import judge
from demo.settings import ROOT
from parts.processes import free_port


@contextmanager
def _demo(directory: Path, **settings: str) -> Iterator[subprocess.Popen[str]]:
    """A demo whose every process has `directory` in its environment or arguments."""
    temporary = directory / "temporary"
    temporary.mkdir()
    chosen = {
        "AUTO": "1",
        "LIFETIME": "12",
        "AUTH_PORT": str(free_port()),
        "CONSENT_PORT": str(free_port()),
        "DEMO_DIRECTORY": str(directory / "left"),
        "TMPDIR": str(temporary),
        "PYTHONPATH": "tests",
    }
    running = subprocess.Popen(
        [sys.executable, "-m", "demo"],
        cwd=ROOT,
        env={**os.environ, **chosen, **settings},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    with running:
        try:
            yield running
        finally:
            running.kill()
    assert not list(temporary.iterdir()), "tokens of the run are still on the disk"


def _processes_of(directory: Path) -> list[str]:
    shown = subprocess.run(["/bin/ps", "axeww", "-o", "pid,args"], capture_output=True, text=True, check=True)
    return [line for line in shown.stdout.splitlines() if str(directory) in line]


def _wait_for_line(running: subprocess.Popen[str], words: str) -> None:
    assert running.stdout
    for line in running.stdout:
        if words in line:
            return
    raise AssertionError(f"the demo ended without saying '{words}'")


def test_a_consent_becomes_a_refreshed_token_and_the_report_proves_it(tmp_path: Path) -> None:
    with _demo(tmp_path, ONCE="1") as running:
        output, _ = running.communicate(timeout=240)
    assert running.returncode == 0, output
    document = json.loads((tmp_path / "left" / "report.json").read_text())
    verdict = judge(document)
    assert verdict.good, verdict
    assert {sight["token"][:12] in output for sight in document["seen"]} == {True}
    assert not _processes_of(tmp_path)


@pytest.mark.parametrize(
    ("number", "when", "status"),
    [
        pytest.param(signal.SIGINT, "starting the authorization server", 130, id="Ctrl-C while it starts"),
        pytest.param(signal.SIGTERM, "Ready after", 143, id="SIGTERM when all runs"),
    ],
)
def test_a_signal_stops_all_that_was_started(tmp_path: Path, number: signal.Signals, when: str, status: int) -> None:
    with _demo(tmp_path) as running:
        _wait_for_line(running, when)
        assert len(_processes_of(tmp_path)) > 3, "this test could not see what is left"
        running.send_signal(number)
        begun = time.monotonic()
        output, _ = running.communicate(timeout=150)
    assert running.returncode == status, output
    assert "Nothing that was started runs any more." in output
    assert time.monotonic() - begun < 100
    assert not _processes_of(tmp_path)
