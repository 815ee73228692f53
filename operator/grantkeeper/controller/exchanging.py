"""Exchange: a code is presented once, and what comes is stored, or revoked where it cannot be kept.

The hash of the code is stored in a claim before a byte is sent, and a code whose fate is unknown is never presented again: a
new request costs the person a click, a code replayed can cost the grant (RFC 6749 section 4.1.2).
"""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import dataclass, replace

import structlog
from pydantic import SecretStr

from grantkeeper.choices import RequestState, RevocationPolicy, TokenStorage
from grantkeeper.controller.finalizing import Finalizers
from grantkeeper.controller.identifying import Identifier, Witness
from grantkeeper.controller.presenting import Attempted, Presenter, Result, Unsent
from grantkeeper.controller.registry import Name
from grantkeeper.controller.revoking import Revoker
from grantkeeper.controller.seals import Seals
from grantkeeper.controller.sparing import Siblings, account_of
from grantkeeper.core import requests as asked
from grantkeeper.core.accounts import is_expected
from grantkeeper.core.answers import read_token_answer
from grantkeeper.core.gains import Gain
from grantkeeper.core.idtoken import IDTokenError
from grantkeeper.core.messages import Answer
from grantkeeper.core.oauth import Client, code_request
from grantkeeper.core.outcomes import Granted, Outcome, name_error
from grantkeeper.core.profiles import Profile
from grantkeeper.core.records import Attempt, Claim, Delivery, Sealed, Spending, describe
from grantkeeper.core.requests import ConsentRequest
from grantkeeper.core.sealing import DataKey
from grantkeeper.core.sparing import may_revoke
from grantkeeper.core.succeeding import succeed
from grantkeeper.core.tokens import TokenSet, fingerprint
from grantkeeper.errors import Conflict, Unsealable
from grantkeeper.failpoints import reach
from grantkeeper.resources import OAuthConnector, UserGrant

log = structlog.get_logger()

SEND_AGAIN_AFTER = 2.0
SEND_ATTEMPTS = 5
"""A code lives about a minute, so one that could not be sent is not tried for longer."""


@dataclass(frozen=True, slots=True)
class Question:
    """An answer's surroundings: whose it is, and the records it was judged by."""

    grant: UserGrant
    connector: OAuthConnector
    client: Client
    ca_bundle: bytes | None
    sealed: Sealed
    requests: tuple[ConsentRequest, ...]
    request: ConsentRequest

    @property
    def name(self) -> Name:
        """The connector's."""
        return self.connector.metadata.namespace, self.connector.metadata.name


@dataclass(frozen=True, slots=True)
class Exchanger:
    """Exchanges one code at a time."""

    presenter: Presenter
    seals: Seals
    finalizers: Finalizers
    revoker: Revoker
    identifier: Identifier
    siblings: Siblings

    async def exchange(self, question: Question, code: SecretStr) -> bool:
        """Present a code and keep what comes; False where it was not presented and has to be judged again."""
        if not await self.finalizers.hold(question.grant):
            return False
        reach("exchange.held")
        return await asyncio.shield(asyncio.ensure_future(self._exchange(question, code)))  # nothing interrupts it

    async def _exchange(self, question: Question, code: SecretStr) -> bool:
        key = self.seals.prepare()
        sealed = question.sealed
        for _ in range(SEND_ATTEMPTS):
            try:
                attempted = await self.presenter.claim(*self._claim(question, sealed, code))
            except Conflict:
                if sealed is question.sealed:
                    return False
                break  # the code was not sent, and cannot be claimed again
            reach("exchange.claimed")
            result = await self._present(question, code, attempted)
            if not isinstance(result, Unsent):
                break
            sealed = attempted.sealed
            await asyncio.sleep(SEND_AGAIN_AFTER)
        await self._conclude(result, question, attempted, key)
        self.presenter.note_granted(question.name, result)
        self.presenter.meter.count_exchange(result)
        return True

    def _claim(self, question: Question, sealed: Sealed, code: SecretStr) -> tuple[Sealed, Claim]:
        before = question.sealed.claim
        claim = Claim(
            attempt=self.presenter.new_attempt(),
            holder=self.presenter.holder,
            spending=Spending.CODE,
            hash=fingerprint(code),
            generation=_next_generation(sealed),
            request=question.request.hash,
            set_aside=before if before is not None and before.spending is Spending.REFRESH_TOKEN else None,
        )
        answered = question.request.model_copy(update={"state": RequestState.ANSWERED})
        return sealed.model_copy(update={"requests": self._seal(question, answered)}), claim

    async def _present(self, question: Question, code: SecretStr, attempted: Attempted) -> Result:
        request = code_request(
            question.client,
            code=code,
            verifier=question.request.verifier if question.client.pkce else None,
            redirect_uri=self.presenter.connectors.redirect_uri(question.name),
        )

        sent_at = self.presenter.clock()
        reach("exchange.sending")

        def read(answer: Answer) -> Outcome:
            reach("exchange.answered")
            return read_token_answer(
                answer,
                now=sent_at,  # lifetimes count from the server's own clock, which was not earlier than this
                asked=question.request.scopes,
                assumed_lifetime=question.connector.spec.refresh.assumed_lifetime,
                refresh_lifetime=question.connector.spec.refresh.refresh_token_lifetime,
                separator=question.client.scope_separator,
                refusals=question.client.refusals,
            )

        return await self.presenter.present(
            request,
            attempted=attempted,
            connector=question.name,
            ca_bundle=question.ca_bundle,
            read=read,
            sent=lambda: reach("exchange.sent"),
        )

    async def _conclude(self, result: Result, question: Question, attempted: Attempted, key: DataKey) -> None:
        line = log.bind(namespace=question.grant.metadata.namespace, grant=question.grant.metadata.name)
        if not isinstance(result, Granted):
            line.warning("a code was not exchanged", error=result.reason if isinstance(result, Unsent) else name_error(result))
            await self._fail(question, attempted, "ExchangeFailed")
            return
        expected = question.grant.spec.expected_account
        try:
            claims = await self.identifier.identify(
                result,
                Witness(question.name, question.client, question.ca_bundle),
                nonce=question.request.nonce,
                expected=expected,
            )
        except IDTokenError as error:
            line.warning("whose tokens these are cannot be told; they are thrown away", error=error.reason)
            await self._give_back(result.tokens, question)
            await self._fail(question, attempted, "ExchangeFailed")
            return
        reach("exchange.identified")
        tokens = result.tokens.model_copy(update={"id_claims": claims})
        if not is_expected(claims, expected):
            line.warning("another account consented than the one that is expected")
            await self._give_back(tokens, question)
            await self._fail(question, attempted, "AccountMismatch")
            return
        if question.connector.spec.token_storage is TokenStorage.DISABLED:
            await self._record(tokens, question, attempted, key)
            line.info("connected; the tokens are not kept")
            return
        if not await self._store(succeed(self._hold(question), tokens, question.sealed), question, attempted, key):
            line.warning("another set was stored meanwhile; what came is not kept")
            await self._give_back(tokens, question)
            return
        line.info("consented", scopes=len(tokens.scopes))

    def _hold(self, question: Question) -> TokenSet | None:
        """The set that is about to be replaced; None where there is none, or it does not open here."""
        try:
            opened = self.seals.open_tokens(question.sealed, question.connector.spec)
        except Unsealable:
            return None
        return opened.tokens if opened is not None else None

    async def _give_back(self, tokens: TokenSet, question: Question) -> bool:
        """Revoke what is not kept, unless that could end a consent that a grant holds; whether the server took it."""
        if may_revoke(account_of(tokens), self.siblings.of(question.name, question.connector.spec)):
            return await self.revoker.revoke(tokens, question.client, question.ca_bundle, connector=question.name)
        log.warning(
            "what came is not revoked, to spare a grant that may hold the same account",
            namespace=question.grant.metadata.namespace,
            grant=question.grant.metadata.name,
        )
        return False

    async def _record(self, tokens: TokenSet, question: Question, attempted: Attempted, key: DataKey) -> None:
        """Revoke the tokens, and keep whose they were: in this order, so that what is said of the revocation is stored with the one write.

        Killed in between, the person is asked once more, and the code is not presented again.
        """
        revoked = await self._give_back(tokens, question)
        profile = Profile(account=tokens.id_claims, scope=tokens.scope, recorded_at=self.presenter.clock(), revoked=revoked)
        text = self.seals.seal_profile(profile, question.grant, question.connector.spec, key=key)
        granted = self._seal(question, asked.close(question.request, RequestState.GRANTED))
        outcome = self._conclude_as("TokensNotKept", question, attempted)
        before = attempted.claim.set_aside if attempted.claim else None

        def change(sealed: Sealed) -> Sealed:
            kept = sealed.outcome if sealed.tokenset is not None else outcome  # a set that is held keeps what is known of it
            return sealed.model_copy(update={"profile": text, "requests": granted, "claim": before, "outcome": kept})

        await self.presenter.committer.note(attempted.sealed, change)

    async def _store(self, tokens: TokenSet, question: Question, attempted: Attempted, key: DataKey) -> bool:
        """Store the set; False where another consent was stored meanwhile."""
        generation, grant = _next_generation(attempted.sealed), question.grant
        text = self.seals.seal_tokens(tokens, grant, question.connector.spec, generation=generation, key=key)
        reach("exchange.sealed")
        outcome = self._conclude_as("Consented", question, attempted)
        meta = describe(tokens, generation=generation, attempt=attempted.name, kid=key.kid)
        others = replace(question, requests=asked.end_links(question.requests, question.request))
        granted = self._seal(others, asked.close(question.request, RequestState.GRANTED))
        gain = Gain.of(attempted.sealed, attempted.name, text, meta, outcome, requests=granted)
        gain = gain.model_copy(
            update={
                "deliveries": plan_deliveries(grant),
                "refresh_wish": self.presenter.find_refresh_wish(grant),
                "retains": grant.spec.revocation_policy is RevocationPolicy.RETAIN,
            }
        )
        kept = await self.presenter.committer.keep(attempted.sealed, gain)
        if not kept:
            await self.presenter.committer.forget(gain)
        return kept

    async def _fail(self, question: Question, attempted: Attempted, reason: str) -> None:
        """The code brought nothing: its request is spent, and what stood before stands again."""
        refused = self._seal(question, asked.close(question.request, RequestState.REFUSED, reason))
        outcome = self._conclude_as(reason, question, attempted)
        before = attempted.claim.set_aside if attempted.claim else None

        def change(sealed: Sealed) -> Sealed:
            kept = sealed.outcome if sealed.tokenset is not None else outcome
            return sealed.model_copy(update={"requests": refused, "claim": before, "outcome": kept})

        reach("exchange.noting")
        await self.presenter.committer.note(attempted.sealed, change)
        reach("exchange.noted")

    def _conclude_as(self, reason: str, question: Question, attempted: Attempted) -> Attempt:
        code = attempted.claim.hash if attempted.claim else None
        return Attempt(hash=code, reason=reason, time=self.presenter.clock(), spec_generation=question.grant.metadata.generation)

    def _seal(self, question: Question, changed: ConsentRequest) -> tuple[str, ...]:
        return self.seals.seal_requests(
            asked.replace(question.requests, changed),
            question.grant,
            question.connector.spec,
            generation=question.grant.metadata.generation,
        )


def plan_deliveries(grant: UserGrant) -> dict[str, Delivery]:
    """A random id for every Secret that is to be delivered, recorded before the Secret is created: nothing else is ever ours."""
    return {spec.name: Delivery(id=secrets.token_hex(16)) for spec in grant.spec.secrets}


def _next_generation(sealed: Sealed) -> int:
    return (sealed.meta.generation if sealed.meta else 0) + 1
