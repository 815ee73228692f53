"""Start programs on loopback, keep their output, and leave none of them behind."""

from __future__ import annotations

import atexit
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from parts import PartFailed

LEASH = Path(__file__).with_name("leash.py")
LAST_LINES = 15
_RESERVED: list[socket.socket] = []


@dataclass(eq=False)
class Child:
    """A program of ours: its output goes to `log`, and it ends when we end."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    @classmethod
    def start(cls, name: str, command: Sequence[str | Path], *, log: Path, environment: Mapping[str, str] | None = None) -> Self:
        """Start `command` with exactly `environment` (ours when None); output is appended to `log`."""
        with log.open("ab") as output:
            process = subprocess.Popen(
                [sys.executable, "-I", LEASH, str(os.getpid()), *command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environment,
                start_new_session=True,  # Ctrl-C is ours to hear; we then stop our children in order
            )
        child = cls(name, process, log)
        atexit.register(child.stop)
        return child

    @property
    def pid(self) -> int:
        """The process id, the same before and after the leash hands over."""
        return self.process.pid

    @property
    def is_alive(self) -> bool:
        """Whether the program still runs."""
        return self.process.poll() is None

    def send(self, number: signal.Signals) -> None:
        """Send a signal, if the program still runs."""
        if self.is_alive:
            self.process.send_signal(number)

    def stop(self, grace: float = 5.0) -> int:
        """Ask it to end, and end it `grace` seconds later; return its exit status."""
        self.send(signal.SIGTERM)
        try:
            self.process.wait(grace)
        except subprocess.TimeoutExpired:
            self.process.kill()
        atexit.unregister(self.stop)
        return self.process.wait()

    def wait(self, timeout: float) -> int:
        """Wait for it to end by itself; return its exit status."""
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise PartFailed(f"{self.name} still runs after {timeout:.0f} s; its log ends:\n{self.last_lines()}") from None

    def wait_until(self, ready: Callable[[], bool], *, timeout: float) -> None:
        """Return as soon as `ready` says so; fail in a sentence when the program dies before that, or takes too long."""
        deadline = time.monotonic() + timeout
        while not ready():
            if not self.is_alive:
                raise PartFailed(f"{self.name} ended with status {self.process.returncode}; its log ends:\n{self.last_lines()}")
            if time.monotonic() > deadline:
                raise PartFailed(f"{self.name} was not ready after {timeout:.0f} s; its log ends:\n{self.last_lines()}")
            time.sleep(0.05)

    def last_lines(self) -> str:
        """The end of its log, for a message."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-LAST_LINES:])


def is_free(port: int) -> bool:
    """Whether nobody listens on this loopback port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do: a closed connection's remains are no obstacle
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_port(in_a_row: int = 1) -> int:
    """Return a loopback port that nobody listens on, and that no other process is given as long as this one lives; of several, the first.

    It is taken from below the range that kernels use for outgoing connections, so a server that is stopped finds it free again.
    """
    while True:
        port = random.randint(20000, 30000 - in_a_row)  # noqa: S311  # two runs must differ, nobody need not guess
        if all(is_free(each) and _reserve(each) for each in range(port, port + in_a_row)):
            return port


def _reserve(port: int) -> bool:
    """Whether it is ours: between being found free and being listened on, a port is known to be taken by the same number over UDP."""
    mark = socket.socket(type=socket.SOCK_DGRAM)
    try:
        mark.bind(("127.0.0.1", port))
    except OSError:
        mark.close()
        return False
    _RESERVED.append(mark)
    return True


def require_free(port: int, what: str) -> None:
    """Fail in a sentence when `port` is taken."""
    if not is_free(port):
        raise PartFailed(
            f"port {port} on 127.0.0.1 is taken, so {what} cannot start there; stop what listens on it, or choose another port."
        )
