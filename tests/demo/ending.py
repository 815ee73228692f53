"""How the demo is told to end: Ctrl-C, SIGTERM and a closed terminal all arrive as one exception, once."""

from __future__ import annotations

import signal
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Ended(BaseException):
    """Somebody ended the demo. No `Exception`, so nothing on the way up takes it for a failure to be tried again."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.status = 128 + number
        """The exit status that shells give to who ends by this signal."""


def listen() -> None:
    """Raise `Ended` in the main thread at the first signal, and then be deaf: what is being stopped is stopped to the end."""
    for number in SIGNALS:
        if number == signal.SIGHUP and signal.getsignal(number) is signal.SIG_IGN:
            continue  # nohup
        signal.signal(number, _end)


def be_deaf() -> None:
    """Hear no further signal."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def _end(number: int, _frame: FrameType | None) -> None:
    be_deaf()
    raise Ended(number)
