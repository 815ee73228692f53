"""Refresh: claim, one POST, commit. A rotating refresh token is presented once, and its successor is stored before anything else.

Where an answer is lost, the claim stays and says so; the token is presented once more when nothing of use can be lost by it, or as
long as the server's leeway lasts, and not beyond, whatever happens to this process in between. A token that is not spent by its use
needs none of that.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, replace
from datetime import datetime

import structlog

from grantkeeper.choices import RevocationPolicy
from grantkeeper.controller.connecting import ConnectorUnready
from grantkeeper.controller.gathering import Gathered
from grantkeeper.controller.presenting import Attempted, Presenter, Result, Unsent
from grantkeeper.controller.seals import OpenedTokens, Seals
from grantkeeper.core.answers import read_token_answer
from grantkeeper.core.clocks import covers
from grantkeeper.core.failures import ANSWERS, count_failure
from grantkeeper.core.gains import Gain
from grantkeeper.core.idtoken import names_another
from grantkeeper.core.messages import Answer
from grantkeeper.core.oauth import refresh_request
from grantkeeper.core.outcomes import REJECTED_WORDS, Dead, Granted, Lost, Outcome, Rejected, Transient, name_error
from grantkeeper.core.records import Attempt, Claim, Sealed, Spending, answer_refresh, describe
from grantkeeper.core.refreshing import can_wait, is_presentable
from grantkeeper.core.rotation import MAX_PRESENTATIONS, Manner
from grantkeeper.core.sealing import DataKey
from grantkeeper.core.tokens import TokenSet, fingerprint
from grantkeeper.errors import Conflict
from grantkeeper.failpoints import reach
from grantkeeper.resources import OAuthConnector, UserGrant

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Flight:
    """One refresh on its way: everything that its answer will be judged and stored by."""

    grant: UserGrant
    connector: OAuthConnector
    held: OpenedTokens
    refresh_hash: str
    manner: Manner
    earlier: Claim | None
    """The claim on the same token whose answer was lost, if this is a retry."""
    attempted: Attempted
    key: DataKey
    is_revival: bool
    """The token had been refused, and somebody asked for another try."""

    @property
    def is_safe(self) -> bool:
        """Whether presenting the token puts it no more in doubt than it is: it is not spent by it, or accepted again within the leeway."""
        claim = self.attempted.claim
        return claim is None or (self.earlier is not None and claim.retry_until is not None)


@dataclass(frozen=True, slots=True)
class Refresher:
    """Refreshes one grant at a time, by the protocol."""

    presenter: Presenter
    seals: Seals

    async def refresh(self, gathered: Gathered) -> None:
        """One refresh, from reading what is held to storing what came. What failed is stored too, as the outcome."""
        grant, connector = gathered.grant, gathered.connector
        reach("refresh.planned")
        if connector is None or (found := await self._find(gathered, connector)) is None:
            return
        sealed, held = found
        if held.tokens.refresh_token is None:
            return
        reach("refresh.opened")
        try:
            remembered = await self.presenter.connectors.client(connector)
        except ConnectorUnready:
            return
        key = self.seals.prepare()
        may_wait = not gathered.facts.is_hurried and can_wait(held.tokens, self.presenter.clock())
        if may_wait and not await self.presenter.committer.journal.can_write():
            return  # what comes could be kept nowhere while the API server is away: not before that is the smaller risk
        request = refresh_request(remembered.client, refresh_token=held.tokens.refresh_token)
        reach("refresh.prepared")
        try:
            flight = await self._take_off(gathered, connector, sealed, held, key)
        except Conflict:
            await self.presenter.vault.read(grant.metadata.uid, known=gathered.sealed)  # somebody wrote first: the next look sees what
            return
        reach("refresh.claimed")
        sent_at = self.presenter.clock()

        def read(answer: Answer) -> Outcome:
            reach("refresh.answered")
            return read_token_answer(
                answer,
                now=sent_at,  # lifetimes count from the server's own clock, which was not earlier than this
                asked=held.tokens.scopes,
                previous=held.tokens,
                assumed_lifetime=connector.spec.refresh.assumed_lifetime,
                refresh_lifetime=connector.spec.refresh.refresh_token_lifetime,
                separator=remembered.client.scope_separator,
                refusals=remembered.client.refusals,
            )

        async def present() -> None:
            reach("refresh.sending")
            result = await self.presenter.present(
                request,
                attempted=flight.attempted,
                connector=grant.connector_name,
                ca_bundle=remembered.ca_bundle,
                read=read,
                sent=lambda: reach("refresh.sent"),
                within=flight.manner.answer_within,
                is_safe=flight.is_safe,
            )
            await self._settle(result, flight)
            self.presenter.note_granted(grant.connector_name, result)
            self.presenter.meter.count_refresh(grant.connector_name, result, time.monotonic() - flight.attempted.since.ticks)

        await asyncio.shield(asyncio.ensure_future(present()))  # from the first byte to the commit, nothing interrupts it

    async def _find(self, gathered: Gathered, connector: OAuthConnector) -> tuple[Sealed, OpenedTokens] | None:
        """What is to be presented; None where somebody wrote meanwhile, which the next pass sees.

        Where it will be claimed, that is what the plan was made from: the claim replaces this very version or nothing. Without a
        claim nothing would tell that it is no longer the newest, so it is read anew.
        """
        sealed, held = gathered.sealed, gathered.opened
        if sealed is None or held is None:
            return None
        if Manner.of(connector.spec.refresh, held.tokens).rotates:
            return sealed, held
        sealed = await self.presenter.vault.read(gathered.grant.metadata.uid, known=gathered.sealed)
        held = self.seals.open_tokens(sealed, connector.spec) if sealed is not None else None
        return (sealed, held) if sealed is not None and held is not None and _is_as_planned(sealed, held, gathered) else None

    async def _take_off(self, gathered: Gathered, connector: OAuthConnector, sealed: Sealed, held: OpenedTokens, key: DataKey) -> Flight:
        """Claim the token where it may be spent; Conflict where somebody wrote first."""
        grant = gathered.grant
        manner = Manner.of(connector.spec.refresh, held.tokens)
        digest = fingerprint(held.tokens.refresh_token) if held.tokens.refresh_token else ""
        earlier = sealed.claim.model_copy(update={"lost": True}) if sealed.claim and sealed.claim.hash == digest else None
        deliveries = self.presenter.connectors.registry.bring_up_to_date(grant, sealed)
        prepared = sealed.model_copy(update={"deliveries": deliveries})
        if manner.rotates or (earlier is not None and manner.may_turn):
            attempted = await self.presenter.claim(prepared, self._claim(held, digest, manner, earlier, self.presenter.clock()))
        else:
            attempted = self.presenter.go_unclaimed(prepared)
        return Flight(grant, connector, held, digest, manner, earlier, attempted, key, gathered.facts.is_dead)

    def _claim(self, held: OpenedTokens, digest: str, manner: Manner, earlier: Claim | None, now: datetime) -> Claim:
        presented = earlier.presentations if earlier else 0
        is_as_if_first = earlier is not None and covers(earlier.retry_until, leeway=manner.leeway, now=now)
        return Claim(
            attempt=self.presenter.new_attempt(),
            holder=self.presenter.holder,
            spending=Spending.REFRESH_TOKEN,
            hash=digest,
            generation=held.generation,
            presentations=max(presented, 1) if is_as_if_first else presented + 1,
            not_before_retry=manner.risk_at(held.tokens, now),
            retry_until=earlier.retry_until if earlier and is_as_if_first else None if earlier else manner.retry_until(now),
        )

    async def _settle(self, result: Result, flight: Flight) -> None:
        grant, held, claim = flight.grant, flight.held, flight.attempted.claim
        line = log.bind(namespace=grant.metadata.namespace, grant=grant.metadata.name)
        match result:
            case Granted() if _is_anothers(result, held.tokens):
                await self._store(_keep_rotated(held.tokens, result.tokens), flight, is_anothers=True)
                line.warning("a refresh brought tokens of another account")
            case Granted():
                await self._store(result.tokens, flight)
                line.info("refreshed", generation=held.generation + 1)
            case Dead():
                is_exhausted = claim is not None and claim.presentations >= MAX_PRESENTATIONS
                over = claim.model_copy(update={"lost": True}) if claim and is_exhausted else None  # nobody presents it again
                stored = await self._note(flight, "ReauthorizationRequired", leaving=over)
                line.warning("the refresh token is refused", error=result.reason, stored=stored is not None)
            case Rejected():
                reason = "ClientRejected" if result.is_of_client else "RequestRejected"
                await self._note(flight, reason, leaving=flight.earlier, error=result.reason if result.reason in REJECTED_WORDS else None)
                line.warning("the client or its request is rejected", error=name_error(result))
            case Transient():
                until = self.presenter.clock() + result.retry_after if result.retry_after else None
                await self._note(flight, "Refused", leaving=flight.earlier, not_before=until)
                line.info("asked to come back later", error=result.reason)
            case Unsent():
                await self._note(flight, result.reason, leaving=flight.earlier)
                line.info("not sent", error=result.message)
            case Lost() if result.successor is not None:
                await self._store(result.successor, flight, is_unusable=True)
                line.warning("an answer brought nothing of use but another refresh token, which is kept", error=result.reason)
            case Lost():
                await self._note_lost(flight, server_failed=result.server_failed)
                line.warning("an answer was lost", error=result.reason, presentations=claim.presentations if claim else 0)

    async def _store(self, tokens: TokenSet, flight: Flight, *, is_anothers: bool = False, is_unusable: bool = False) -> None:
        """Store the successor. A refresh token that came for another account is refused in the same write: nobody presents it.

        One that came without an access token that could be used is presented again, but not at once.
        """
        generation, attempted, grant = flight.held.generation + 1, flight.attempted, flight.grant
        text = self.seals.seal_tokens(tokens, grant, flight.connector.spec, generation=generation, key=flight.key)
        reach("refresh.sealed")
        came = fingerprint(tokens.refresh_token) if tokens.refresh_token else flight.refresh_hash
        outcome = Attempt(
            hash=came if is_anothers else flight.refresh_hash,
            reason="AccountMismatch" if is_anothers else "Refreshed",
            time=self.presenter.clock(),
            spec_generation=grant.metadata.generation,
        )
        if is_unusable:
            outcome = replace(self._fail(flight, "AnswerUnusable", attempted.sealed.outcome), hash=came)
        meta = describe(tokens, generation=generation, attempt=attempted.name, kid=flight.key.kid)
        gain = Gain.of(attempted.sealed, attempted.name, text, meta, outcome)
        retains = grant.spec.revocation_policy is RevocationPolicy.RETAIN
        gain = gain.model_copy(update={"refresh_wish": self.presenter.find_refresh_wish(grant), "retains": retains})
        if not await self.presenter.committer.keep(attempted.sealed, gain):
            await self.presenter.committer.keep_aside(attempted.sealed, gain)

    async def _note(
        self,
        flight: Flight,
        reason: str,
        *,
        leaving: Claim | None = None,
        not_before: datetime | None = None,
        error: str | None = None,
    ) -> Sealed | None:
        """Store a failure with the write that clears the claim, or leaves one that says so: a restart must not forget it."""
        now = self.presenter.clock()
        answered = self.presenter.find_refresh_wish(flight.grant) if reason in ANSWERS else ""
        is_covered = leaving is not None and leaving.retry_until is not None and now < leaving.retry_until
        is_free = reason == "AnswerLost" and (leaving is None or is_covered)

        def change(sealed: Sealed) -> Sealed:
            failed = self._fail(flight, reason, sealed.outcome, is_hurried=is_covered)
            wait = now if is_free and failed.failures == 1 else failed.retry_not_before or now
            outcome = replace(failed, retry_not_before=max(wait, not_before) if not_before else wait, error=error)
            handled = answer_refresh(sealed.handled, answered, now)
            return sealed.model_copy(update={"claim": leaving, "outcome": outcome, "handled": handled})

        reach("refresh.noting")
        noted = await self.presenter.committer.note(flight.attempted.sealed, change)
        reach("refresh.noted")
        return noted

    def _fail(self, flight: Flight, reason: str, last: Attempt | None, *, is_hurried: bool = False) -> Attempt:
        now, chance, generation = self.presenter.clock(), self.presenter.chance(), flight.grant.metadata.generation
        failed = count_failure(
            reason, last, refresh_hash=flight.refresh_hash, spec_generation=generation, now=now, chance=chance, is_hurried=is_hurried
        )
        return replace(failed, is_refused=flight.is_revival)

    async def _note_lost(self, flight: Flight, *, server_failed: bool) -> None:
        """Leave the claim, marked; or one that was not needed before, where this may have been the first time that the token was spent.

        A failure that the server did report is not counted: its outage must not end consents.
        """
        claim, marked = flight.attempted.claim, None
        if claim is None and flight.manner.may_turn:
            claim = self._claim(flight.held, flight.refresh_hash, flight.manner, None, flight.attempted.since.at)
        if claim is not None:
            before = flight.earlier.presentations if flight.earlier else 0
            marked = claim.model_copy(update={"lost": True, "presentations": before if server_failed else claim.presentations})
        await self._note(flight, "ServerError" if server_failed else "AnswerLost", leaving=marked)


def _is_anothers(granted: Granted, held: TokenSet) -> bool:
    return granted.id_token is not None and held.id_claims is not None and names_another(granted.id_token, held.id_claims)


def _keep_rotated(held: TokenSet, came: TokenSet) -> TokenSet:
    """What was held, with the refresh token that came: the one that was presented may be spent, and the other token is nobody's here."""
    return held.model_copy(
        update={"refresh_token": came.refresh_token, "refresh_expires_at": came.refresh_expires_at, "turnover": came.turnover}
    )


def _is_as_planned(sealed: Sealed, held: OpenedTokens, gathered: Gathered) -> bool:
    """Whether the plan still fits: the same set, and no claim, outcome or answer to a wish but those that the plan knew of."""
    planned = gathered.sealed
    if gathered.opened is None or held.generation != gathered.opened.generation or planned is None:
        return False
    known = (planned.claim, planned.outcome, planned.handled)
    return (sealed.claim, sealed.outcome, sealed.handled) == known and is_presentable(gathered.facts)
