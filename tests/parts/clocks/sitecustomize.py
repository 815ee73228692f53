"""Python imports this when it starts with this directory on PYTHONPATH: the controller's wall clock is what a file says.

The controller reads it in one place, and kopf is told the end of a login by it; nothing else here reads any but the monotonic clock.
"""

from __future__ import annotations

import os
from datetime import datetime, timedelta, tzinfo
from pathlib import Path

from grantkeeper.controller import assembling, watching

_FILE = Path(os.environ["TESTS_CLOCK"])


class _Shifted(datetime):
    @classmethod
    def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]  # a plain one
        """The machine's time, and so much more."""
        return datetime.now(tz) + timedelta(seconds=float(_FILE.read_text()))


for _module in (assembling, watching):
    vars(_module)["datetime"] = _Shifted
