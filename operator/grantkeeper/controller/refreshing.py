"""Refresh: claim, one POST, commit. A rotating refresh token is presented once, and its successor is stored before anything else.

Where an answer is lost, the claim stays and says so; the token is presented once more when nothing of use can be lost by it,
and never a third time, whatever happens to this process in between.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from grantkeeper.controller.committing import commit, set_aside
from grantkeeper.controller.connecting import ConnectorUnready
from grantkeeper.controller.gathering import MAX_PRESENTATIONS, Gathered
from grantkeeper.controller.presenting import Presenter, Result, Unsent
from grantkeeper.controller.seals import OpenedTokens, Seals
from grantkeeper.core import schedule
from grantkeeper.core.answers import read_token_answer
from grantkeeper.core.idtoken import names_another
from grantkeeper.core.messages import Answer
from grantkeeper.core.oauth import refresh_request
from grantkeeper.core.outcomes import CLIENT_WORDS, Dead, Granted, Lost, Outcome, Rejected, Transient
from grantkeeper.core.records import Attempt, Claim, Meta, Sealed, Spending
from grantkeeper.core.sealing import DataKey
from grantkeeper.core.tokens import TokenSet, fingerprint
from grantkeeper.errors import Conflict
from grantkeeper.resources import OAuthConnector, UserGrant

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Refresher:
    """Refreshes one grant at a time, by the protocol."""

    presenter: Presenter
    seals: Seals

    async def refresh(self, gathered: Gathered) -> None:
        """One refresh, from reading what is held to storing what came. What failed is stored too, as the outcome."""
        grant, connector = gathered.grant, gathered.connector
        sealed = await self.presenter.vault.read(grant.metadata.uid)
        if sealed is None or connector is None:
            return
        held = self.seals.open_tokens(sealed, connector.spec)
        if held is None or held.tokens.refresh_token is None or not _is_as_planned(sealed, held, gathered):
            return  # somebody wrote meanwhile: the next pass sees what
        name = grant.connector_name
        try:
            remembered = await self.presenter.connectors.client(name)
        except ConnectorUnready:
            return
        key = self.seals.prepare()
        request = refresh_request(remembered.client, refresh_token=held.tokens.refresh_token)
        claim = self._claim(sealed, held)
        try:
            deliveries = self.presenter.connectors.registry.bring_up_to_date(grant, sealed)
            claimed, since = await self.presenter.claim(sealed.model_copy(update={"claim": claim, "deliveries": deliveries}))
        except Conflict:
            return

        sent_at = self.presenter.clock()

        def read(answer: Answer) -> Outcome:
            return read_token_answer(
                answer,
                now=sent_at,  # lifetimes count from the server's own clock, which was not earlier than this
                asked=held.tokens.scopes,
                previous=held.tokens,
                assumed_lifetime=assumed_lifetime(connector),
                separator=connector.spec.scope_separator.character,
            )

        async def present() -> None:
            result = await self.presenter.present(request, since=since, connector=name, ca_bundle=remembered.ca_bundle, read=read)
            await self._settle(result, gathered, claimed, held, key)
            self.presenter.meter.count_refresh(name, result, time.monotonic() - since)

        await asyncio.shield(asyncio.ensure_future(present()))  # from the first byte to the commit, nothing interrupts it

    def _claim(self, sealed: Sealed, held: OpenedTokens) -> Claim:
        tokens, earlier, now = held.tokens, sealed.claim, self.presenter.clock()
        digest = fingerprint(tokens.refresh_token) if tokens.refresh_token else ""
        presented = earlier.presentations if earlier and earlier.hash == digest else 0
        return Claim(
            attempt=self.presenter.new_attempt(),
            holder=self.presenter.holder,
            spending=Spending.REFRESH_TOKEN,
            hash=digest,
            generation=held.generation,
            presentations=presented + 1,
            not_before_retry=schedule.retry_lost_at(obtained_at=tokens.obtained_at, expires_at=tokens.expires_at, now=now),
        )

    async def _settle(self, result: Result, gathered: Gathered, claimed: Sealed, held: OpenedTokens, key: DataKey) -> None:
        grant, connector = gathered.grant, gathered.connector
        assert connector is not None and claimed.claim is not None  # noqa: S101, PT018  # refresh() has seen both
        line = log.bind(namespace=grant.metadata.namespace, grant=grant.metadata.name)
        match result:
            case Granted() if _is_anothers(result, held.tokens):
                kept = _keep_rotated(held.tokens, result.tokens)
                await self._store(kept, grant, connector, claimed, held, key, reason="AccountMismatch")
                line.warning("a refresh brought tokens of another account")
            case Granted():
                await self._store(result.tokens, grant, connector, claimed, held, key)
                line.info("refreshed", generation=held.generation + 1)
            case Dead():
                over = claimed.claim.model_copy(update={"lost": True})  # nobody waits for it, and nobody presents the token again
                exhausted = over if over.presentations >= MAX_PRESENTATIONS else None
                stored = await self._note(claimed, grant, "ReauthorizationRequired", keeping=exhausted)
                line.warning("the refresh token is refused", error=result.reason, stored=stored is not None)
            case Rejected():
                reason = "ClientRejected" if result.reason in CLIENT_WORDS else "RequestRejected"
                await self._note(claimed, grant, reason, keeping=_uncounted(claimed.claim))
                line.warning("the client or its request is rejected", error=result.reason)
            case Transient():
                until = self.presenter.clock() + result.retry_after if result.retry_after else None
                await self._note(claimed, grant, "Refused", keeping=_uncounted(claimed.claim), not_before=until)
                line.info("asked to come back later", error=result.reason)
            case Unsent():
                await self._note(claimed, grant, result.problem.reason, keeping=_uncounted(claimed.claim))
                line.info("not sent", error=result.problem.message)
            case Lost():
                await self._note_lost(claimed, grant, server_failed=result.server_failed)
                line.warning("an answer was lost", error=result.reason, presentations=claimed.claim.presentations)

    async def _store(  # what a set is sealed and described with
        self,
        tokens: TokenSet,
        grant: UserGrant,
        connector: OAuthConnector,
        claimed: Sealed,
        held: OpenedTokens,
        key: DataKey,
        *,
        reason: str = "Refreshed",
    ) -> None:
        claim = claimed.claim
        assert claim is not None  # noqa: S101  # it is what was just presented under
        now, generation = self.presenter.clock(), held.generation + 1
        text = self.seals.seal_tokens(tokens, grant, connector.spec, generation=generation, key=key)
        refused = tokens.refresh_token if reason != "Refreshed" else None
        digest = fingerprint(refused) if refused else claim.hash
        outcome = Attempt(hash=digest, reason=reason, time=now, spec_generation=grant.metadata.generation)
        meta = describe(tokens, generation=generation, attempt=claim.attempt, kid=key.kid)

        def change(sealed: Sealed) -> Sealed:
            return sealed.model_copy(update={"tokenset": text, "claim": None, "outcome": outcome, "meta": meta})

        if await commit(self.presenter.vault, claimed, change) is None:
            name = await set_aside(self.presenter.vault, claimed, text)
            log.error("a refreshed set lost its claim and is kept aside", grant=f"{claimed.namespace}/{claimed.name}", secret=name)

    async def _note(
        self, claimed: Sealed, grant: UserGrant, reason: str, *, keeping: Claim | None = None, not_before: datetime | None = None
    ) -> Sealed | None:
        """Store a failure with the write that clears the claim, or keeps it marked: a restart must not forget it."""
        claim, now = claimed.claim, self.presenter.clock()
        assert claim is not None  # noqa: S101  # it is what was just presented under

        def change(sealed: Sealed) -> Sealed:
            earlier = sealed.outcome.failures if sealed.outcome and sealed.outcome.hash == claim.hash else 0
            wait = now + schedule.try_again_in(earlier + 1, self.presenter.chance())
            outcome = Attempt(
                hash=claim.hash,
                reason=reason,
                time=now,
                spec_generation=grant.metadata.generation,
                failures=earlier + 1,
                retry_not_before=max(wait, not_before) if not_before else wait,
            )
            return sealed.model_copy(update={"claim": keeping, "outcome": outcome})

        return await commit(self.presenter.vault, claimed, change)

    async def _note_lost(self, claimed: Sealed, grant: UserGrant, *, server_failed: bool) -> None:
        """Keep the claim, marked. A failure that the server did report is not counted: its outage must not end consents."""
        claim = claimed.claim
        assert claim is not None  # noqa: S101  # it is what was just presented under
        counted = claim.presentations - 1 if server_failed else claim.presentations
        marked = claim.model_copy(update={"lost": True, "presentations": counted})
        await self._note(claimed, grant, "ServerError" if server_failed else "AnswerLost", keeping=marked)


def _is_anothers(granted: Granted, held: TokenSet) -> bool:
    return granted.id_token is not None and held.id_claims is not None and names_another(granted.id_token, held.id_claims)


def _keep_rotated(held: TokenSet, came: TokenSet) -> TokenSet:
    """What was held, with the refresh token that came: the one that was presented may be spent, and the other token is nobody's here."""
    return held.model_copy(update={"refresh_token": came.refresh_token, "refresh_expires_at": came.refresh_expires_at})


def _uncounted(claim: Claim) -> Claim | None:
    """What stands after a presentation that surely spent nothing: no claim, or the lost one that it was to repeat."""
    if claim.presentations <= 1:
        return None
    return claim.model_copy(update={"lost": True, "presentations": claim.presentations - 1})


def _is_as_planned(sealed: Sealed, held: OpenedTokens, gathered: Gathered) -> bool:
    """Whether the plan still fits: the same set, and no claim but those that the plan knew of."""
    planned = gathered.sealed
    if gathered.opened is None or held.generation != gathered.opened.generation or planned is None:
        return False
    if sealed.claim is not None and sealed.claim.presentations >= MAX_PRESENTATIONS:
        return False
    return sealed.claim == planned.claim


def assumed_lifetime(connector: OAuthConnector) -> timedelta | None:
    """The lifetime of tokens whose answer carries no `expires_in`, where the connector states one."""
    seconds = connector.spec.refresh.assumed_lifetime_seconds
    return None if seconds is None else timedelta(seconds=seconds)


def describe(tokens: TokenSet, *, generation: int, attempt: str, kid: str) -> Meta:
    """The hints beside a sealed set."""
    return Meta(generation=generation, attempt=attempt, obtained_at=tokens.obtained_at, expires_at=tokens.expires_at, kid=kid)
