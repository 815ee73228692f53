"""Redeem: judge what came back from a person's consent, and see that nothing is presented that does not fit.

The answer's Secret is deleted last, so a process that dies in between judges it again, against a record that knows by then.
"""

from __future__ import annotations

from dataclasses import dataclass

import structlog

from grantkeeper.choices import RequestState
from grantkeeper.controller.connecting import ConnectorUnready
from grantkeeper.controller.exchanging import Exchanger, Question
from grantkeeper.controller.gathering import Gathered
from grantkeeper.controller.pacing import Pacer
from grantkeeper.controller.presenting import Presenter
from grantkeeper.controller.seals import Seals
from grantkeeper.core.answering import JUNK_LIMIT, ConsentAnswer, Junk, Redeem, Refuse, judge_answer
from grantkeeper.core.pacing import Rank, Urgency
from grantkeeper.core.records import Attempt, Sealed, Spending
from grantkeeper.core.requests import ConsentRequest, close, find, replace
from grantkeeper.errors import Conflict
from grantkeeper.failpoints import reach
from grantkeeper.resources import OAuthConnector, UserGrant

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Redeemer:
    """Redeems one answer at a time."""

    presenter: Presenter
    seals: Seals
    exchanger: Exchanger
    pacer: Pacer

    async def redeem(self, gathered: Gathered, answer: ConsentAnswer) -> None:
        """Judge an answer, present its code if it fits, store what came, and delete the answer last."""
        grant, connector = gathered.grant, gathered.connector
        sealed = await self.presenter.vault.read(grant.metadata.uid)
        if connector is None or sealed is None or not _is_as_planned(sealed, gathered):
            return
        name = (connector.metadata.namespace, connector.metadata.name)
        requests = self.seals.open_requests(sealed, connector.spec)
        request = find(requests, answer.request)
        try:
            remembered = await self.presenter.connectors.client(connector)
        except ConnectorUnready:
            return
        judgement = judge_answer(
            answer,
            request,
            connector=connector.metadata.name,
            redirect_uri=self.presenter.connectors.redirect_uri(name),
            endpoints=remembered.client.endpoints,
            now=self.presenter.clock(),
        )
        match judgement:
            case Junk():
                log.warning("an answer does not fit", namespace=grant.metadata.namespace, grant=grant.metadata.name, why=judgement.why)
                is_done = await self._count_junk(grant, connector, sealed, requests, request)
            case Refuse():
                is_done = await self._refuse(grant, connector, sealed, requests, request, judgement.reason)
            case Redeem():
                assert request is not None  # noqa: S101  # an answer without a request is junk
                question = Question(grant, connector, remembered.client, remembered.ca_bundle, sealed, requests, request)
                with self.pacer.turn(name, grant.metadata.uid, Rank(Urgency.AWAITED, self.presenter.clock())) as has_come:
                    is_done = has_come and await self.exchanger.exchange(question, judgement.code)
        reach("redeem.forgetting")
        if is_done:
            # At once, for the watch tells it later: what counts against a request counts once.
            self.presenter.connectors.registry.drop_answer(answer)
            await self.presenter.vault.remove_answer(answer.secret_name, answer.secret_uid)

    async def settle(self, gathered: Gathered) -> None:
        """A claim on a code was left behind by a process that died: its outcome is unknown, so it is spent, and a new request follows."""
        grant, connector = gathered.grant, gathered.connector
        sealed = await self.presenter.vault.read(grant.metadata.uid)
        if sealed is None or connector is None or sealed.claim is None or sealed.claim.spending is not Spending.CODE:
            return
        if not _is_as_planned(sealed, gathered):
            return
        requests = self.seals.open_requests(sealed, connector.spec)
        request = find(requests, sealed.claim.request or "")
        log.warning("a code was left behind half redeemed", namespace=grant.metadata.namespace, grant=grant.metadata.name)
        freed = sealed.model_copy(update={"claim": sealed.claim.set_aside})
        await self._refuse(grant, connector, freed, requests, request, "ExchangeFailed")

    async def _count_junk(
        self,
        grant: UserGrant,
        connector: OAuthConnector,
        sealed: Sealed,
        requests: tuple[ConsentRequest, ...],
        request: ConsentRequest | None,
    ) -> bool:
        if request is None or request.state is not RequestState.OPEN:
            return True  # there is nothing to count it against
        counted = request.model_copy(update={"junk": request.junk + 1})
        if counted.junk >= JUNK_LIMIT:
            return await self._refuse(grant, connector, sealed, replace(requests, counted), counted, "ExchangeFailed")
        return await self._put(grant, connector, sealed, replace(requests, counted))

    async def _refuse(
        self,
        grant: UserGrant,
        connector: OAuthConnector,
        sealed: Sealed,
        requests: tuple[ConsentRequest, ...],
        request: ConsentRequest | None,
        reason: str,
    ) -> bool:
        """Close the request, and say why as long as no tokens are held; those that are held keep their own outcome."""
        closed = replace(requests, close(request, RequestState.REFUSED, reason)) if request is not None else requests
        if sealed.tokenset is None:
            outcome = Attempt(reason=reason, time=self.presenter.clock(), spec_generation=grant.metadata.generation)
            sealed = sealed.model_copy(update={"outcome": outcome})
        return await self._put(grant, connector, sealed, closed)

    async def _put(self, grant: UserGrant, connector: OAuthConnector, sealed: Sealed, requests: tuple[ConsentRequest, ...]) -> bool:
        """Store it; False where somebody wrote first, and everything has to be judged again."""
        texts = self.seals.seal_requests(requests, grant, connector.spec, generation=grant.metadata.generation)
        try:
            await self.presenter.vault.put(sealed.model_copy(update={"requests": texts}))
        except Conflict:
            return False
        return True


def _is_as_planned(sealed: Sealed, gathered: Gathered) -> bool:
    """Whether no claim has come or gone since: another's is waited for, and not written over."""
    return sealed.claim == (gathered.sealed.claim if gathered.sealed else None)
