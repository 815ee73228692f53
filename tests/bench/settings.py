"""How much is measured: `make bench` watches for three minutes in all, `make bench LONG=1` for ten.

Making the grants, settling and draining come on top: some four minutes on an idle machine, a quarter of an hour on a crowded one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

REFRESHES_A_SECOND = 20
"""The load under which a refresh is priced; also the rate of the anchor."""
ASKED_CAP = 30
"""Token requests a second that the connector allows, where connectors know a cap: three times what they allow by themselves."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Numbers of grants and lengths of windows; seconds."""

    few: int = 1_000
    """Grants that are refreshed all the time."""
    many: int = 10_000
    """Grants that are held, `few` among them."""
    due: int = 2_000
    """Grants that are due at once."""
    warming: float = 15
    window: float = 60
    anchor: float = 30
    """The anchor runs so long before the window, and so long after it."""
    idle: float = 10

    @property
    def interval(self) -> float:
        """Seconds between two refreshes of one grant."""
        return self.few / REFRESHES_A_SECOND


def read(environ: Mapping[str, str]) -> Settings:
    """The long form where LONG is set to anything, else the short one."""
    return Settings(due=10_000, window=300, anchor=90, idle=20) if environ.get("LONG") else Settings()
