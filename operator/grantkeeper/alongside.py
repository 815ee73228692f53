"""The processes side by side, as children of one parent: the same commands, for development and small clusters.

They live and end together: one that ends by itself takes the other with it, in order, and the exit status says so.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Mapping

import structlog

from grantkeeper.settings import PREFIX, ConsentSettings, ControllerSettings

log = structlog.get_logger()

Child = asyncio.subprocess.Process


def run(controller: ControllerSettings, _consent: ConsentSettings) -> int:
    """Run until SIGTERM or SIGINT, or until one ends; the exit status: 0 only where both were asked to end, and ended well.

    Both models are asked for, so that what is wrong with either is said before anything is started.
    """
    return asyncio.run(_run(controller))


async def _run(settings: ControllerSettings) -> int:
    asked = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, asked.set)
    next_door = {f"{PREFIX}METRICS_LISTEN": one_port_on(settings.metrics_listen)}
    children = {"controller": await _start("controller", {}), "consent": await _start("consent", next_door)}
    lives = {asyncio.create_task(child.wait(), name=name) for name, child in children.items()}
    request = asyncio.create_task(asked.wait())
    await asyncio.wait({*lives, request}, return_when=asyncio.FIRST_COMPLETED)
    ended = sorted((life.result(), life.get_name()) for life in lives if life.done() and not asked.is_set())
    for status, name in ended:
        log.error("a process ended by itself; the other one is ended too", process=name, status=status)
    for child in children.values():
        if child.returncode is None:
            child.send_signal(signal.SIGTERM)
    await asyncio.wait(lives)
    request.cancel()
    return _status([status for status, _ in ended] or [child.returncode or 0 for child in children.values()], asked=asked.is_set())


async def _start(command: str, environment: Mapping[str, str]) -> Child:
    """Start a command, out of reach of a terminal's Ctrl-C: the parent hears it, and ends both."""
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "grantkeeper", command, env={**os.environ, **environment}, start_new_session=True
    )
    log.info("started", process=command, pid=child.pid)
    return child


def _status(statuses: list[int], *, asked: bool) -> int:
    """The first that is not 0, as a shell writes what a signal ended; 1 where one ended well that nobody had asked.

    One that was still starting ends by the SIGTERM itself, which is as good as 0 where it was asked to.
    """
    if asked:
        statuses = [status for status in statuses if status != -signal.SIGTERM]
    failed = next((128 - status if status < 0 else status for status in statuses if status), 0)
    return failed or (0 if asked else 1)


def one_port_on(address: str) -> str:
    """The same host, and the port after: two processes cannot listen on one; 0, any port, stays."""
    host, _, port = address.rpartition(":")
    return f"{host}:{int(port) + 1 if int(port) else 0}"
