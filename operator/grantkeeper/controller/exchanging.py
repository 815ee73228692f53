"""Exchange: a code is presented once, and what comes is stored, or revoked where it cannot be kept.

The hash of the code is stored in a claim before a byte is sent, and a code whose fate is unknown is never presented again: a
new request costs the person a click, a code replayed can cost the grant (RFC 6749 section 4.1.2).
"""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import dataclass

import structlog
from pydantic import SecretStr

from grantkeeper.controller.committing import commit
from grantkeeper.controller.finalizing import Finalizers
from grantkeeper.controller.identifying import Identifier, Witness
from grantkeeper.controller.presenting import Presenter, Result, Unsent
from grantkeeper.controller.refreshing import assumed_lifetime, describe
from grantkeeper.controller.registry import Name
from grantkeeper.controller.revoking import Revoker
from grantkeeper.controller.seals import Seals
from grantkeeper.controller.sparing import Siblings, account_of
from grantkeeper.core import requests as asked
from grantkeeper.core.accounts import is_expected
from grantkeeper.core.answers import read_token_answer
from grantkeeper.core.idtoken import IDTokenError
from grantkeeper.core.messages import Answer
from grantkeeper.core.oauth import Client, code_request
from grantkeeper.core.outcomes import Granted, Outcome
from grantkeeper.core.profiles import Profile
from grantkeeper.core.records import Attempt, Claim, Delivery, Sealed, Spending
from grantkeeper.core.requests import ConsentRequest
from grantkeeper.core.sealing import DataKey
from grantkeeper.core.sparing import may_revoke
from grantkeeper.core.tokens import TokenSet, fingerprint
from grantkeeper.errors import Conflict
from grantkeeper.resources import OAuthConnector, RequestState, TokenStorage, UserGrant

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
        return await asyncio.shield(asyncio.ensure_future(self._exchange(question, code)))  # nothing interrupts it

    async def _exchange(self, question: Question, code: SecretStr) -> bool:
        key = self.seals.prepare()
        sealed = question.sealed
        for _ in range(SEND_ATTEMPTS):
            try:
                claimed, since = await self.presenter.claim(self._claim(question, sealed, code))
            except Conflict:
                if sealed is question.sealed:
                    return False
                break  # the code was not sent, and cannot be claimed again
            result = await self._present(question, code, since)
            if not isinstance(result, Unsent):
                break
            sealed = claimed
            await asyncio.sleep(SEND_AGAIN_AFTER)
        self.presenter.meter.count_exchange(result)
        await self._conclude(result, question, claimed, key)
        return True

    def _claim(self, question: Question, sealed: Sealed, code: SecretStr) -> Sealed:
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
        return sealed.model_copy(update={"claim": claim, "requests": self._seal(question, answered)})

    async def _present(self, question: Question, code: SecretStr, since: float) -> Result:
        request = code_request(
            question.client,
            code=code,
            verifier=question.request.verifier if question.client.pkce else None,
            redirect_uri=self.presenter.connectors.redirect_uri(question.name),
        )

        sent_at = self.presenter.clock()

        def read(answer: Answer) -> Outcome:
            return read_token_answer(
                answer,
                now=sent_at,  # lifetimes count from the server's own clock, which was not earlier than this
                asked=question.request.scopes,
                assumed_lifetime=assumed_lifetime(question.connector),
                separator=question.client.scope_separator,
            )

        return await self.presenter.present(request, since=since, connector=question.name, ca_bundle=question.ca_bundle, read=read)

    async def _conclude(self, result: Result, question: Question, claimed: Sealed, key: DataKey) -> None:
        line = log.bind(namespace=question.grant.metadata.namespace, grant=question.grant.metadata.name)
        if not isinstance(result, Granted):
            reason = result.problem.reason if isinstance(result, Unsent) else result.reason
            line.warning("a code was not exchanged", error=reason)
            await self._fail(question, claimed, "ExchangeFailed")
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
            line.warning("whose tokens these are cannot be told; they are revoked", error=error.reason)
            await self.revoker.revoke(result.tokens, question.client, question.ca_bundle, connector=question.name)
            await self._fail(question, claimed, "ExchangeFailed")
            return
        tokens = result.tokens.model_copy(update={"id_claims": claims})
        if not is_expected(claims, expected):
            line.warning("another account consented than the one that is expected")
            await self._give_back(tokens, question)
            await self._fail(question, claimed, "AccountMismatch")
            return
        if question.connector.spec.token_storage is TokenStorage.DISABLED:
            await self._record(tokens, question, claimed, key)
            line.info("connected; the tokens are not kept")
            return
        if await self._store(tokens, question, claimed, key) is None:
            line.warning("the claim was taken; what came is revoked")
            await self.revoker.revoke(tokens, question.client, question.ca_bundle, connector=question.name)
            return
        line.info("consented", scopes=len(tokens.scopes))

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

    async def _record(self, tokens: TokenSet, question: Question, claimed: Sealed, key: DataKey) -> None:
        """Revoke the tokens, and keep whose they were: in this order, so that what is said of the revocation is stored with the one write.

        Killed in between, the person is asked once more, and the code is not presented again.
        """
        claim, now = claimed.claim, self.presenter.clock()
        assert claim is not None  # noqa: S101  # it is what was just presented under
        revoked = await self._give_back(tokens, question)
        profile = Profile(account=tokens.id_claims, scope=tokens.scope, recorded_at=now, revoked=revoked)
        text = self.seals.seal_profile(profile, question.grant, question.connector.spec, key=key)
        granted = self._seal(question, asked.close(question.request, RequestState.GRANTED))
        outcome = Attempt(hash=claim.hash, reason="TokensNotKept", time=now, spec_generation=question.grant.metadata.generation)

        def change(sealed: Sealed) -> Sealed:
            kept = sealed.outcome if sealed.tokenset is not None else outcome  # a set that is held keeps what is known of it
            return sealed.model_copy(update={"profile": text, "requests": granted, "claim": claim.set_aside, "outcome": kept})

        await commit(self.presenter.vault, claimed, change)

    async def _store(self, tokens: TokenSet, question: Question, claimed: Sealed, key: DataKey) -> Sealed | None:
        claim = claimed.claim
        assert claim is not None  # noqa: S101  # it is what was just presented under
        generation = claim.generation
        text = self.seals.seal_tokens(tokens, question.grant, question.connector.spec, generation=generation, key=key)
        granted = self._seal(question, asked.close(question.request, RequestState.GRANTED))
        outcome = Attempt(
            hash=claim.hash, reason="Consented", time=self.presenter.clock(), spec_generation=question.grant.metadata.generation
        )
        meta = describe(tokens, generation=generation, attempt=claim.attempt, kid=key.kid)

        def change(sealed: Sealed) -> Sealed:
            return sealed.model_copy(
                update={
                    "tokenset": text,
                    "profile": None,
                    "requests": granted,
                    "claim": None,
                    "outcome": outcome,
                    "meta": meta,
                    "deliveries": plan_deliveries(question.grant, sealed),
                }
            )

        return await commit(self.presenter.vault, claimed, change)

    async def _fail(self, question: Question, claimed: Sealed, reason: str) -> None:
        """The code brought nothing: its request is spent, and what stood before stands again."""
        claim = claimed.claim
        assert claim is not None  # noqa: S101  # it is what was just presented under
        refused = self._seal(question, asked.close(question.request, RequestState.REFUSED, reason))
        outcome = Attempt(hash=claim.hash, reason=reason, time=self.presenter.clock(), spec_generation=question.grant.metadata.generation)

        def change(sealed: Sealed) -> Sealed:
            kept = sealed.outcome if sealed.tokenset is not None else outcome
            return sealed.model_copy(update={"requests": refused, "claim": claim.set_aside, "outcome": kept})

        await commit(self.presenter.vault, claimed, change)

    def _seal(self, question: Question, changed: ConsentRequest) -> tuple[str, ...]:
        return self.seals.seal_requests(
            asked.replace(question.requests, changed),
            question.grant,
            question.connector.spec,
            generation=question.grant.metadata.generation,
        )


def plan_deliveries(grant: UserGrant, sealed: Sealed) -> dict[str, Delivery]:
    """A random id for every Secret that is to be delivered, recorded before the Secret is created: nothing else is ever ours."""
    return {**{spec.name: Delivery(id=secrets.token_hex(16)) for spec in grant.spec.secrets}, **sealed.deliveries}


def _next_generation(sealed: Sealed) -> int:
    return (sealed.meta.generation if sealed.meta else 0) + 1
