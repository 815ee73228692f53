"""Once everything has been read, most of what is in memory stays: the garbage collector need not walk it again and again."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

THRESHOLDS = (50_000, 20, 50)
"""How many more objects there must be than at the last time, and how many young generations make an older one's turn."""


def collect_less() -> None:
    """Collect once; from then on look only at what has come since, and less often. What is replaced goes by its reference count."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)


@contextmanager
def collecting_nothing() -> Iterator[None]:
    """While memory is filled there is next to no garbage, and the collector would walk all that is there again and again."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
