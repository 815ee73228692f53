"""Say what is being waited for and for how long, so that nobody wonders whether a long step still runs.

On a terminal the line moves; anywhere else there is a line at the start, one every half minute, and one at the end.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console

EVERY = 30.0
"""Seconds between two signs of life where the output is not a terminal."""

console = Console(stderr=True, highlight=False, soft_wrap=True)


class Step:
    """A step under way; `say` tells how far it has come."""

    def __init__(self, title: str) -> None:
        self.title = title
        self._detail = ""
        self._begun = time.monotonic()

    def say(self, detail: str) -> None:
        """Replace what is shown beside the title."""
        self._detail = detail

    def __str__(self) -> str:
        return f"{self.title}: {', '.join(filter(None, (f'{time.monotonic() - self._begun:.0f} s', self._detail)))}"


@contextmanager
def step(title: str) -> Iterator[Step]:
    """Show `title` until the block ends, then how long it took."""
    current = Step(title)
    done = threading.Event()
    show = _show_moving if console.is_terminal else _show_lines
    watcher = threading.Thread(target=show, args=(current, done), daemon=True)
    watcher.start()
    try:
        yield current
    except BaseException:
        _end(done, watcher)
        console.print(f"[red]✗[/] {current}")
        raise
    _end(done, watcher)
    console.print(f"[green]✓[/] {current}")


def _show_moving(current: Step, done: threading.Event) -> None:
    with console.status(str(current)) as status:
        while not done.wait(0.5):
            status.update(str(current))


def _show_lines(current: Step, done: threading.Event) -> None:
    console.print(f"  {current.title} …")
    while not done.wait(EVERY):
        console.print(f"  {current}")


def _end(done: threading.Event, watcher: threading.Thread) -> None:
    done.set()
    watcher.join()
