"""Gather the facts of one grant from memory: what the watches brought, opened and compared. No call leaves the process here."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from grantkeeper.controller.comparing import Comparer
from grantkeeper.controller.connecting import Connectors
from grantkeeper.controller.pacing import Lane, Pacer
from grantkeeper.controller.registry import Registry
from grantkeeper.controller.respecting import Respect
from grantkeeper.controller.seals import OpenedTokens, Seals
from grantkeeper.core import rendering, schedule
from grantkeeper.core.accounts import put_in_words
from grantkeeper.core.facts import ConnectorFacts, Facts, Holding, Trouble
from grantkeeper.core.planning import REFUSALS
from grantkeeper.core.records import Sealed, Spending
from grantkeeper.core.requests import ConsentRequest, find_open
from grantkeeper.core.tokens import fingerprint
from grantkeeper.errors import Unsealable
from grantkeeper.resources import FINALIZER, OAuthConnector, RequestState, UserGrant

MAX_PRESENTATIONS = 2
"""Once, and once more after an answer that did not arrive. Never a third time."""

FAILURES = {
    "Unreachable": "the authorization server cannot be reached",
    "ClientRejected": "the authorization server rejects the client; see the connector",
    "RequestRejected": "the authorization server rejects the request; the controller's log names its error",
    "ServerError": "the authorization server reports an error of its own",
    "AnswerLost": "an answer was lost on the way; it is tried once more when nothing can be lost by it",
    "Refused": "the authorization server asks to try again later",
}


@dataclass(frozen=True, slots=True)
class Gathered:
    """The facts of a grant, and what they were read from."""

    grant: UserGrant
    connector: OAuthConnector | None
    sealed: Sealed | None
    opened: OpenedTokens | None
    requests: tuple[ConsentRequest, ...]
    facts: Facts


@dataclass(frozen=True, slots=True)
class Gatherer:
    """Reads the registry for one process."""

    registry: Registry
    connectors: Connectors
    seals: Seals
    respect: Respect
    comparer: Comparer
    pacer: Pacer

    def gather(self, grant: UserGrant, now: datetime) -> Gathered:
        """What is true of this grant now."""
        connector = self.registry.connectors.get(grant.connector_name)
        sealed = self.registry.sealed.get(grant.metadata.uid)
        opened, trouble, detail = self._open(grant.metadata.uid, sealed, connector)
        requests = self.seals.open_requests(sealed, connector.spec) if sealed and connector else ()
        holding = self._hold(grant, connector, sealed, opened)
        claim, outcome = (sealed.claim, sealed.outcome) if sealed else (None, None)
        refresh_claim = claim if claim and claim.spending is Spending.REFRESH_TOKEN else None
        respected_until = self.respect.until(grant.metadata.uid, claim, now)
        is_ours = refresh_claim is not None and holding is not None and refresh_claim.hash == holding.refresh_hash
        is_exhausted = is_ours and refresh_claim is not None and refresh_claim.presentations >= MAX_PRESENTATIONS and not respected_until
        of_this_token = outcome is not None and holding is not None and outcome.hash == holding.refresh_hash
        refused = (
            of_this_token
            and outcome is not None
            and outcome.reason in {"ReauthorizationRequired", "AccountMismatch"}
            and outcome.spec_generation == grant.metadata.generation
        )
        standing = self.connectors.standing(grant.connector_name)
        rank = self.pacer.rank(grant.metadata.uid, Lane.REVOCATION if grant.metadata.is_deleting else Lane.TOKEN)
        of_now = outcome if of_this_token and outcome is not None else None
        failure = FAILURES.get(of_now.reason if of_now else "", "") or FAILURES.get((standing.obstacle(now) if rank else None) or "", "")
        open_request = find_open(requests, now)
        waits_until = of_now.retry_not_before if of_now and not standing.has_healed_since(of_now.reason, of_now.time) else None
        retry = [m for m in (refresh_claim and refresh_claim.not_before_retry, waits_until) if m]
        return Gathered(
            grant,
            connector,
            sealed,
            opened,
            requests,
            Facts(
                now=now,
                is_deleting=grant.metadata.is_deleting,
                is_held=FINALIZER in grant.metadata.finalizers,
                connector=self._connector_facts(grant, connector),
                holding=holding,
                trouble=trouble,
                trouble_detail=detail,
                is_dead=refused or is_exhausted,
                refusal=outcome.reason if outcome and (holding is None or of_this_token) and outcome.reason in REFUSALS else None,
                expected_account=put_in_words(grant.spec.expected_account),
                failure=failure,
                failures=of_now.failures if of_now else 0,
                retry_not_before=max(retry, default=None),
                claim_respected_until=respected_until,
                has_dangling_code=claim is not None and claim.spending is Spending.CODE and respected_until is None,
                answers=tuple(sorted(self.registry.answers_to(grant))),
                has_open_request=open_request is not None,
                has_lapsed_request=any(r.state is RequestState.OPEN and now >= r.expires_at for r in requests),
                request_expires_at=open_request.expires_at if open_request else None,
                template_fault=rendering.find_template_fault(grant),
                secrets=self.comparer.compare(grant, sealed, opened, now),
                surplus=self.comparer.find_surplus(grant, sealed),
                waits_for_turn=rank.urgency if rank else None,
                look_again_at=self.comparer.try_again_at(grant),
            ),
        )

    def _open(self, uid: str, sealed: Sealed | None, connector: OAuthConnector | None) -> tuple[OpenedTokens | None, Trouble | None, str]:
        if uid in self.registry.unreadable:
            return None, Trouble.UNSEALABLE, "record"
        if sealed is None or connector is None:
            return None, None, ""
        try:
            return self.seals.open_tokens(sealed, connector.spec), None, ""
        except Unsealable as error:
            return None, Trouble.REPLACED if error.reason == "connector" else Trouble.UNSEALABLE, error.reason

    def forget(self, uid: str) -> None:
        """The grant is gone."""
        self.respect.forget(uid)
        self.pacer.leave(uid)
        self.comparer.forget(uid)

    def _hold(
        self, grant: UserGrant, connector: OAuthConnector | None, sealed: Sealed | None, opened: OpenedTokens | None
    ) -> Holding | None:
        if opened is None or connector is None:
            return self._hold_unopened(sealed) if connector is None else None
        tokens, refresh = opened.tokens, connector.spec.refresh
        due = None
        if tokens.expires_at is not None:
            due = schedule.due_at(
                obtained_at=tokens.obtained_at, expires_at=tokens.expires_at, percent=refresh.lifetime_percent, uid=grant.metadata.uid
            )
        return Holding(
            generation=opened.generation,
            obtained_at=tokens.obtained_at,
            expires_at=tokens.expires_at,
            due_at=due,
            scopes=tokens.scopes,
            account=tokens.id_claims,
            refresh_hash=fingerprint(tokens.refresh_token) if tokens.refresh_token else None,
        )

    def _hold_unopened(self, sealed: Sealed | None) -> Holding | None:
        """Without its connector a set cannot be opened; the hints beside it still say that it is there, and until when it lives."""
        if sealed is None or sealed.tokenset is None or sealed.meta is None:
            return None
        return Holding(
            generation=sealed.meta.generation,
            obtained_at=sealed.meta.obtained_at,
            expires_at=sealed.meta.expires_at,
            due_at=None,
            scopes=(),
            account=None,
            refresh_hash="unopened",
        )

    def _connector_facts(self, grant: UserGrant, connector: OAuthConnector | None) -> ConnectorFacts:
        name = grant.spec.connector_ref.name
        if connector is None:
            return ConnectorFacts(name, exists=False, ready=False, endpoints_known=False)
        standing = self.connectors.standing(grant.connector_name)
        offered = connector.spec.scopes
        lacks = tuple(scope for scope in grant.spec.scopes if scope not in offered) if offered else ()
        return ConnectorFacts(
            name,
            exists=True,
            ready=standing.is_ready,
            endpoints_known=standing.endpoints is not None and standing.secret_problem is None,
            lacks=lacks,
        )
