"""Failpoints: a test ends, stops or fails the process at a named step of the protocol. Without the variable they do nothing.

`GRANTKEEPER_FAILPOINT` names one and what happens there: `commit.journaled:kill`, `refresh.claimed:stop`, `exchange.answered:raise`; with
`@3` behind it, at the third time only.
"""

from __future__ import annotations

import os
import re
import signal
from collections import Counter

from grantkeeper.errors import GrantkeeperError, SettingsError

VARIABLE = "GRANTKEEPER_FAILPOINT"
NAMES = frozenset({
    "refresh.planned", "refresh.opened", "refresh.prepared", "refresh.claimed", "refresh.sending", "refresh.sent",
    "refresh.answered", "refresh.sealed", "refresh.noting", "refresh.noted",
    "exchange.held", "exchange.claimed", "exchange.sending", "exchange.sent", "exchange.answered", "exchange.identified", "exchange.sealed",
    "exchange.noting", "exchange.noted", "redeem.forgetting",
    "commit.journaled", "commit.stored", "commit.forgotten",
    "deliver.writing", "deliver.written", "report.writing", "report.written",
    "release.revoked", "release.withdrawn", "release.removed",
})  # fmt: skip
"""In the order in which a refresh, an exchange and a release come by them."""


_STATED = re.compile(r"(?P<name>[a-z.]+):(?P<act>kill|stop|raise)(@(?P<times>[1-9][0-9]{0,3}))?")


class FailpointReached(GrantkeeperError):
    """The failpoint that was asked for."""


def reach(name: str) -> None:
    """This step has been reached."""
    if _WANTED is not None:
        _WANTED.reach(name)


class _Wanted:
    def __init__(self, stated: str) -> None:
        found = _STATED.fullmatch(stated)
        if found is None or found["name"] not in NAMES:
            raise SettingsError(
                f"{VARIABLE} must be <name>:kill, :stop or :raise, with @3 behind it for the third time only; "
                f"the names are {', '.join(sorted(NAMES))}."
            )
        self._name, self._act, self._times = found["name"], found["act"], int(found["times"] or 0)
        self._seen: Counter[str] = Counter()

    def reach(self, name: str) -> None:
        self._seen[name] += 1
        if name != self._name or self._times not in {0, self._seen[name]}:
            return
        match self._act:
            case "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            case "stop":
                os.kill(os.getpid(), signal.SIGSTOP)
            case _:
                raise FailpointReached(name)


_WANTED = _Wanted(os.environ[VARIABLE]) if os.environ.get(VARIABLE) else None
