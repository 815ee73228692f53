"""Run a command that dies with the process that started it, even when that one is killed: `leash.py <parent pid> <command…>`.

Linux tells a process when its parent's thread ends (prctl(2), PR_SET_PDEATHSIG), and keeps that wish over exec. Elsewhere the
command runs without; then only an orderly end of the parent stops it. Standard library only: it runs before every command.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1

if __name__ == "__main__":
    parent, command = int(sys.argv[1]), sys.argv[2:]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it died before the wish was heard
            sys.exit(1)
    os.execvp(command[0], command)  # noqa: S606
