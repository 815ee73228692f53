from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from parts import PartFailed
from parts.processes import LEASH, Child, free_port, is_free, require_free

PARENT = """
import os, subprocess, sys, time
child = subprocess.Popen([sys.executable, sys.argv[1], str(os.getpid()), "sleep", "60"], stdout=subprocess.DEVNULL)
time.sleep(0.5)
print(child.pid, flush=True)
time.sleep(60)
"""
DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(60)"


def python(code: str, tmp_path: Path) -> Child:
    return Child.start("a program", [sys.executable, "-c", code], log=tmp_path / "log")


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_program_that_dies_early_is_quoted(tmp_path: Path) -> None:
    child = python("print('no such flag'); raise SystemExit(3)", tmp_path)
    with pytest.raises(PartFailed, match=r"(?s)a program ended with status 3; its log ends:.*no such flag"):
        child.wait_until(lambda: False, timeout=10)


def test_a_program_that_never_gets_ready_is_not_waited_for(tmp_path: Path) -> None:
    child = python("import time; time.sleep(60)", tmp_path)
    with pytest.raises(PartFailed, match="was not ready after 0 s"):
        child.wait_until(lambda: False, timeout=0.2)
    child.stop()


def test_stopping_is_patient_only_for_so_long(tmp_path: Path) -> None:
    child = python(
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(60)", tmp_path
    )
    child.wait_until(lambda: "deaf" in child.last_lines(), timeout=10)
    assert child.stop(grace=0.2) == -signal.SIGKILL


def test_it_gets_exactly_the_environment_it_is_given(tmp_path: Path) -> None:
    code = "import os; print(sorted(name for name in os.environ if name != 'LC_CTYPE'))"
    child = Child.start("a program", [sys.executable, "-c", code], log=tmp_path / "log", environment={"ONLY": "this"})
    assert child.wait(10) == 0
    assert child.last_lines() == "['ONLY']"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child that its parent died")
def test_it_dies_with_us_even_when_we_are_killed() -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT, LEASH], stdout=subprocess.PIPE, text=True)
    with parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert is_running(child)
        parent.kill()
    deadline = time.monotonic() + 5
    while is_running(child) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not is_running(child)


def test_a_taken_port_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert not is_free(port)
        with pytest.raises(PartFailed, match=f"port {port} on 127.0.0.1 is taken, so the server cannot start there"):
            require_free(port, "the server")
    require_free(free_port(), "the server")


def test_two_processes_are_never_given_the_same_port() -> None:
    port = free_port(in_a_row=2)
    drawn_first = [port + 1, port]
    draw_it_first = (
        f"import random; draw, first = random.randint, {drawn_first}; random.randint = lambda *r: first.pop() if first else draw(*r)"
    )
    ask = f"{draw_it_first}\nfrom parts.processes import free_port; print(free_port(), first)"
    given = subprocess.run([sys.executable, "-c", ask], check=True, capture_output=True, text=True, env={"PYTHONPATH": ":".join(sys.path)})
    another, drawn = given.stdout.split()
    assert (int(another) in drawn_first, drawn) == (False, "[]"), "they belong to this process, though nobody listens on them yet"
