"""Present something single-use at a token endpoint, once, behind a claim: the part that refreshing and redeeming share.

Order is everything here. The claim is stored before a byte is sent; nothing that was sent is sent again by a library; and the
answer's tokens are stored before anybody is told of them.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from grantkeeper.adapters.provider import Provider
from grantkeeper.adapters.vault import Vault
from grantkeeper.controller.connecting import Connectors
from grantkeeper.controller.registry import Name
from grantkeeper.core.messages import Answer, Request
from grantkeeper.core.outcomes import Dead, Granted, Lost, Outcome, Rejected, Transient
from grantkeeper.core.records import Holder, Sealed
from grantkeeper.core.standing import Problem
from grantkeeper.errors import AnswerLost, ProviderDistrusted, ProviderUnsent

SEND_BY = timedelta(seconds=5)
"""From the claim to the first byte; later, the claim may be somebody else's in good faith."""
ANSWER_WITHIN = timedelta(seconds=10)


@dataclass(frozen=True, slots=True)
class Unsent:
    """Nothing was presented; `problem` says why, as a connector's condition."""

    problem: Problem


Result = Outcome | Unsent


@dataclass(frozen=True, slots=True)
class Presenter:
    """What presenting needs of the outside, and who presents."""

    vault: Vault
    provider: Provider
    connectors: Connectors
    holder: Holder
    clock: Callable[[], datetime]

    def new_attempt(self) -> str:
        """A name for one attempt, by which its write is known again."""
        return secrets.token_hex(16)

    async def claim(self, sealed: Sealed) -> tuple[Sealed, float]:
        """Store the claim that `sealed` carries; with the moment from which on the first byte is awaited, by the monotonic clock.

        Conflict where somebody wrote first: nothing has been presented then.
        """
        before = time.monotonic()
        return await self.vault.put(sealed), before

    async def present(
        self, request: Request, *, since: float, connector: Name, ca_bundle: bytes | None, read: Callable[[Answer], Outcome]
    ) -> Result:
        """Send once, and read what comes. Not interrupted by anything but the end of the process."""
        return await asyncio.shield(asyncio.ensure_future(self._present(request, since, connector, ca_bundle, read)))

    async def _present(
        self, request: Request, since: float, connector: Name, ca_bundle: bytes | None, read: Callable[[Answer], Outcome]
    ) -> Result:
        left = SEND_BY - timedelta(seconds=time.monotonic() - since)
        if left <= timedelta(0):
            return Unsent(Problem("Unreachable", "Too much time passed between the claim and the request; it is made again."))
        try:
            answer = await self.provider.send(request, ca_bundle=ca_bundle, timeout=ANSWER_WITHIN, connect_by=left)
        except (ProviderUnsent, ProviderDistrusted) as error:
            problem = Problem("Unreachable", str(error))
            self.connectors.note_problem(connector, problem)
            return Unsent(problem)
        except AnswerLost:
            return Lost("no_answer")
        outcome = read(answer)
        self._note(connector, outcome)
        return outcome

    def _note(self, connector: Name, outcome: Outcome) -> None:
        match outcome:
            case Rejected():
                self.connectors.note_rejection(
                    connector,
                    Problem(
                        "ClientRejected",
                        f"The authorization server rejects the client ({outcome.reason}); correct spec.clientID, the client secret "
                        "or spec.clientAuthentication.",
                    ),
                )
            case Granted() | Dead():
                self.connectors.note_problem(connector, None)
            case Transient() | Lost():
                pass
