"""What a process has used, from /proc: user and system time of all its threads, and resident memory."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

PROC = Path("/proc")
_UTIME, _STIME = 11, 12
"""Places in /proc/<pid>/stat after the command's name (proc(5): fields 14 and 15)."""
QUIET = 0.05
"""Of a core: less than this, and a process only waits."""
QUIET_FOR = 3.0
LOOK_EVERY = 0.25


def seconds(pid: int) -> float:
    """CPU seconds since the process began."""
    return read_stat((PROC / str(pid) / "stat").read_text()) / os.sysconf("SC_CLK_TCK")


def resident(pid: int) -> int:
    """Resident memory in bytes."""
    return read_status((PROC / str(pid) / "status").read_text())


def read_stat(text: str) -> int:
    """User and system time in clock ticks; the command's name in it may hold blanks and brackets."""
    fields = text.rpartition(")")[2].split()
    return int(fields[_UTIME]) + int(fields[_STIME])


def read_status(text: str) -> int:
    """VmRSS in bytes."""
    line = next(line for line in text.splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) * 1024


async def wait_quiet(pid: int, *, within: float) -> float:
    """Return when the process has had nothing to do for a while, with the monotonic moment from which on it was so.

    TimeoutError where it stays busy.
    """
    deadline = time.monotonic() + within
    quiet_since, used = time.monotonic(), seconds(pid)
    while time.monotonic() < deadline:
        await asyncio.sleep(LOOK_EVERY)
        now, used_now = time.monotonic(), seconds(pid)
        if used_now - used > QUIET * LOOK_EVERY:
            quiet_since = now
        if now - quiet_since >= QUIET_FOR:
            return quiet_since
        used = used_now
    raise TimeoutError(f"process {pid} is still busy after {within:.0f} s")
