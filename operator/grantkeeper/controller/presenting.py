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
from grantkeeper.controller.committing import Committer
from grantkeeper.controller.connecting import Connectors
from grantkeeper.controller.measuring import Meter
from grantkeeper.controller.registry import Name
from grantkeeper.core.failures import has_failed_so
from grantkeeper.core.messages import Answer, Request
from grantkeeper.core.outcomes import Dead, Granted, Lost, Outcome, Rejected, Transient, blames_secret
from grantkeeper.core.reasons import Reason
from grantkeeper.core.records import Claim, Holder, Sealed, Spending
from grantkeeper.core.refreshing import read_refresh_wish
from grantkeeper.core.rotation import USUAL_TIMEOUT
from grantkeeper.core.schedule import back_off
from grantkeeper.core.standing import Problem
from grantkeeper.errors import AnswerLost, Conflict, ProviderDistrusted, ProviderUnsent, Unreachable
from grantkeeper.resources import UserGrant

SEND_BY = timedelta(seconds=5)
"""From the claim to the first byte; later, the claim may be somebody else's in good faith."""


@dataclass(frozen=True, slots=True)
class Unsent:
    """Nothing was presented."""

    reason: str
    message: str


Result = Outcome | Unsent


@dataclass(frozen=True, slots=True)
class Since:
    """A moment by two clocks, because each may be wrong in its way: one stands still while a machine sleeps, the other can be set."""

    ticks: float
    """By the monotonic clock."""
    at: datetime


@dataclass(frozen=True, slots=True)
class Attempted:
    """One attempt, from before its first byte: what it is known by, and the sealed Secret as it left it."""

    name: str
    sealed: Sealed
    claim: Claim | None
    """None where what is presented cannot be spent by it."""
    since: Since
    """From when on the first byte is awaited."""


@dataclass(frozen=True, slots=True)
class Presenter:
    """What presenting needs of the outside, and who presents."""

    vault: Vault
    committer: Committer
    provider: Provider
    connectors: Connectors
    holder: Holder
    clock: Callable[[], datetime]
    is_draining: Callable[[], bool]
    meter: Meter
    leads: Callable[[], bool] = lambda: True
    chance: Callable[[], float] = secrets.SystemRandom().random
    """In [0, 1), for what must not happen to all at once."""

    def new_attempt(self) -> str:
        """A name for one attempt, by which its write is known again."""
        return secrets.token_hex(16)

    async def claim(self, sealed: Sealed, claim: Claim) -> Attempted:
        """Store a claim. Conflict where somebody wrote first, or nothing may be presented any more: nothing has been, then."""
        self._refuse_when_ending()
        before = self._start()
        wanted = sealed.model_copy(update={"claim": claim})
        try:
            stored = await self.vault.put(wanted)
        except (Unreachable, Conflict):
            # It may be stored all the same: the answer was lost, or a proxy wrote twice. Left alone, a claim that was never presented
            # would count as if it had been. It is known by its name, for moments are stored in whole seconds.
            found = await self._read(sealed.uid)
            if found is None or found.claim is None or found.claim.attempt != claim.attempt:
                raise
            stored = found
        return Attempted(claim.attempt, stored, claim, before)

    def go_unclaimed(self, sealed: Sealed) -> Attempted:
        """Present what cannot be spent by it: nobody needs to know beforehand."""
        self._refuse_when_ending()
        return Attempted(self.new_attempt(), sealed, None, self._start())

    def _start(self) -> Since:
        return Since(time.monotonic(), self.clock())

    def _left(self, since: Since) -> timedelta:
        """What is left of the time in which a first byte may be sent: it is over when one of the clocks says so."""
        return SEND_BY - max(timedelta(seconds=time.monotonic() - since.ticks), self.clock() - since.at)

    def find_refresh_wish(self, grant: UserGrant) -> str:
        """What a refresh is asked for with by now, for what is on its way answers that, too."""
        latest = self.connectors.registry.grants.get(grant.metadata.uid, grant)
        return read_refresh_wish(latest.metadata.annotations)

    def _refuse_when_ending(self) -> None:
        if self.is_draining() or not self.leads():
            raise Conflict("the process is ending, or leads no more: nothing new is presented")

    async def _read(self, uid: str) -> Sealed | None:
        """Read until an answer comes, or the end does."""
        failures = 0
        while True:
            try:
                return await self.vault.read(uid)
            except Unreachable:
                if self.is_draining():
                    raise
                failures += 1
                await asyncio.sleep(back_off(failures, uid).total_seconds())

    async def present(  # what a request is sent with, and read by
        self,
        request: Request,
        *,
        attempted: Attempted,
        connector: Name,
        ca_bundle: bytes | None,
        read: Callable[[Answer], Outcome],
        sent: Callable[[], None],
        within: timedelta = USUAL_TIMEOUT,
        is_safe: bool = False,
    ) -> Result:
        """Send once, and read what comes. `is_safe` where nothing more is put at risk by it, if no answer comes."""
        left = self._left(attempted.since)
        if left <= timedelta(0):
            return Unsent("NotSent", "Too much time passed between the claim and the request; it is made again.")
        try:
            sending = self.provider.send(request, ca_bundle=ca_bundle, timeout=within, connect_by=left, sent=sent)
            answer = await self.meter.follow(connector, "token", sending)
        except (ProviderUnsent, ProviderDistrusted) as error:
            problem = Problem(Reason.UNREACHABLE, str(error))
            self.connectors.note_problem(connector, problem)
            return Unsent(problem.reason, problem.message)
        except AnswerLost:
            self._note(connector, lost := Lost("no_answer"), attempted, is_safe=is_safe)
            return lost
        outcome = read(answer)
        if (other := request.alternative) is not None and blames_secret(outcome.reason, answer.status):
            self.connectors.note_rejected_secret(connector, request)
            if self._left(attempted.since) <= timedelta(0):
                return outcome  # too late under this claim; the next attempt begins with the other secret
            return await self.present(
                other,
                attempted=attempted,
                connector=connector,
                ca_bundle=ca_bundle,
                read=read,
                sent=sent,
                within=within,
                is_safe=is_safe,
            )
        if not isinstance(outcome, Granted):
            self._note(connector, outcome, attempted, is_safe=is_safe)
        return outcome

    def note_granted(self, connector: Name, result: Result) -> None:
        """What a success has shown, told when what came is stored: many may be woken by it, and no token shall hang on that."""
        if isinstance(result, Granted):
            self.connectors.note_problem(connector, None)

    def _note(self, connector: Name, outcome: Outcome, attempted: Attempted, *, is_safe: bool) -> None:
        is_repeated = has_failed_so(attempted.sealed.outcome, outcome, is_safe=is_safe)
        match outcome:
            case Rejected(is_of_client=True):
                self.connectors.note_problem(
                    connector,
                    Problem(
                        Reason.CLIENT_REJECTED,
                        f"The authorization server rejects the client ({outcome.reason}); correct the client secret, "
                        "spec.clientAuthentication, or what is registered at the server. If spec.clientID is wrong, delete this "
                        "connector and create it anew, since it cannot be changed.",
                    ),
                )
            case Dead():
                self.connectors.note_problem(connector, None)
            case Lost():
                rest = outcome.retry_after
                self.connectors.note_unanswered(connector, outcome.reason, rest=rest, is_safe=is_safe, is_repeated=is_repeated)
            case Transient():
                self.connectors.note_inconclusive(connector, rest=outcome.retry_after, is_repeated=is_repeated)
            case Rejected():
                is_code = attempted.claim is not None and attempted.claim.spending is Spending.CODE
                is_witness = not (is_repeated or is_code)
                self.connectors.note_rejected(connector, outcome.reason, uid=attempted.sealed.uid, is_witness=is_witness)
