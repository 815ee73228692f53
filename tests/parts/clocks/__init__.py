"""A wall clock that can be set while a process of ours runs; its monotonic clock goes on as it does on any machine."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

VARIABLE = "TESTS_CLOCK"


class Clock:
    """The wall clock of the processes that are started with its `environment`: that of the machine, and so much more."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.set(timedelta(0))

    @property
    def environment(self) -> dict[str, str]:
        """For `Container.start`."""
        return {"PYTHONPATH": str(Path(__file__).parent), VARIABLE: str(self._file)}

    def set(self, ahead: timedelta) -> None:
        """Set it, by so much ahead of the machine's, in one step."""
        fresh = self._file.with_suffix(".new")
        fresh.write_text(str(ahead.total_seconds()))
        fresh.replace(self._file)
