"""Gather the facts of one grant from memory: what the watches brought, opened and compared. No call leaves the process here."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from grantkeeper.controller.connecting import Connectors
from grantkeeper.controller.registry import Registry
from grantkeeper.controller.seals import OpenedTokens, Seals
from grantkeeper.core import rendering, schedule, templates
from grantkeeper.core.accounts import put_in_words
from grantkeeper.core.facts import ConnectorFacts, Copy, Facts, Holding, SecretFacts, Trouble
from grantkeeper.core.planning import REFUSALS
from grantkeeper.core.records import Claim, Holder, Sealed, Spending
from grantkeeper.core.requests import ConsentRequest, find_open
from grantkeeper.core.tokens import fingerprint
from grantkeeper.errors import Unsealable
from grantkeeper.resources import FINALIZER, OAuthConnector, RequestState, SecretSpec, UserGrant

CLAIM_RESPECTED_FOR = timedelta(seconds=35)
"""How long another holder's claim is respected while it does not change: twice the time of a token request, and 15 s."""
MAX_PRESENTATIONS = 2
"""Once, and once more after an answer that did not arrive. Never a third time."""

FAILURES = {
    "Unreachable": "the authorization server cannot be reached",
    "ClientRejected": "the authorization server rejects the client; see the connector",
    "ServerError": "the authorization server reports an error of its own",
    "AnswerLost": "an answer was lost on the way; it is tried once more when nothing can be lost by it",
    "Refused": "the authorization server asks to try again later",
}


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Why a delivered Secret could not be written, and when that is tried again."""

    copy: Copy
    detail: str
    until: datetime


@dataclass(frozen=True, slots=True)
class Gathered:
    """The facts of a grant, and what they were read from."""

    grant: UserGrant
    connector: OAuthConnector | None
    sealed: Sealed | None
    opened: OpenedTokens | None
    requests: tuple[ConsentRequest, ...]
    facts: Facts


@dataclass(slots=True)
class Gatherer:
    """Reads the registry for one process. Foreign claims are timed from when they were first seen here."""

    registry: Registry
    connectors: Connectors
    seals: Seals
    holder: Holder
    obstacles: dict[tuple[str, str], Obstacle] = field(default_factory=dict)
    """By the grant's uid and the Secret's name."""
    monotonic: Callable[[], float] = time.monotonic
    _seen: dict[str, tuple[str, float]] = field(default_factory=dict)

    def gather(self, grant: UserGrant, now: datetime) -> Gathered:
        """What is true of this grant now."""
        namespace = grant.metadata.namespace
        connector = self.registry.connectors.get((namespace, grant.spec.connector_ref.name))
        sealed = self.registry.sealed.get(grant.metadata.uid)
        self._forget_obstacles(grant)
        opened, trouble, detail = self._open(grant.metadata.uid, sealed, connector)
        requests = self.seals.open_requests(sealed, connector.spec) if sealed and connector else ()
        holding = self._hold(grant, connector, sealed, opened)
        claim, outcome = (sealed.claim, sealed.outcome) if sealed else (None, None)
        refresh_claim = claim if claim and claim.spending is Spending.REFRESH_TOKEN else None
        respected_until = self._respect(grant.metadata.uid, claim, now)
        is_ours = refresh_claim is not None and holding is not None and refresh_claim.hash == holding.refresh_hash
        is_exhausted = is_ours and refresh_claim is not None and refresh_claim.presentations >= MAX_PRESENTATIONS and not respected_until
        of_this_token = outcome is not None and holding is not None and outcome.hash == holding.refresh_hash
        refused = (
            of_this_token
            and outcome is not None
            and outcome.reason in {"ReauthorizationRequired", "AccountMismatch"}
            and outcome.spec_generation == grant.metadata.generation
        )
        open_request = find_open(requests, now)
        retry = [m for m in (refresh_claim and refresh_claim.not_before_retry, of_this_token and outcome and outcome.retry_not_before) if m]
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
                failure=FAILURES.get(outcome.reason, "") if outcome and of_this_token else "",
                failures=outcome.failures if outcome and of_this_token else 0,
                retry_not_before=max(retry, default=None),
                claim_respected_until=respected_until,
                has_dangling_code=claim is not None and claim.spending is Spending.CODE and respected_until is None,
                answers=tuple(sorted(self.registry.answers_to(grant))),
                has_open_request=open_request is not None,
                has_lapsed_request=any(r.state is RequestState.OPEN and now >= r.expires_at for r in requests),
                request_expires_at=open_request.expires_at if open_request else None,
                template_fault=rendering.find_template_fault(grant),
                secrets=self._secrets(grant, sealed, opened, now),
                surplus=self._surplus(grant, sealed),
                look_again_at=min((o.until for (uid, _), o in self.obstacles.items() if uid == grant.metadata.uid), default=None),
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
        self._seen.pop(uid, None)
        for key in [key for key in self.obstacles if key[0] == uid]:
            del self.obstacles[key]

    def _forget_obstacles(self, grant: UserGrant) -> None:
        """Obstacles to Secrets that are not asked for any more."""
        wanted = {spec.name for spec in grant.spec.secrets}
        for key in [key for key in self.obstacles if key[0] == grant.metadata.uid and key[1] not in wanted]:
            del self.obstacles[key]

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
        standing = self.connectors.standing((grant.metadata.namespace, name))
        offered = connector.spec.scopes
        lacks = tuple(scope for scope in grant.spec.scopes if scope not in offered) if offered else ()
        return ConnectorFacts(
            name,
            exists=True,
            ready=standing.is_ready,
            endpoints_known=standing.endpoints is not None and standing.secret_problem is None,
            lacks=lacks,
        )

    def _respect(self, uid: str, claim: Claim | None, now: datetime) -> datetime | None:
        """Until when a claim keeps us away: not at all when it says itself that it is over, is ours, or an earlier life's of this Pod."""
        if claim is None or claim.lost or claim.holder == self.holder or claim.holder.is_earlier_life_of(self.holder):
            self._seen.pop(uid, None)
            return None
        attempt, since = self._seen.get(uid, ("", 0.0))
        if attempt != claim.attempt:
            since = self.monotonic()
            self._seen[uid] = (claim.attempt, since)
        left = CLAIM_RESPECTED_FOR - timedelta(seconds=self.monotonic() - since)
        return now + left if left > timedelta(0) else None

    def _secrets(self, grant: UserGrant, sealed: Sealed | None, opened: OpenedTokens | None, now: datetime) -> tuple[SecretFacts, ...]:
        return tuple(self._compare(grant, spec, sealed, opened, now) for spec in grant.spec.secrets)

    def _surplus(self, grant: UserGrant, sealed: Sealed | None) -> tuple[str, ...]:
        if sealed is None:
            return ()
        return rendering.find_surplus(sealed.deliveries, self.registry.copies_of(sealed), [spec.name for spec in grant.spec.secrets])

    def _compare(
        self, grant: UserGrant, spec: SecretSpec, sealed: Sealed | None, opened: OpenedTokens | None, now: datetime
    ) -> SecretFacts:
        name = spec.name
        obstacle = self.obstacles.get((grant.metadata.uid, name))
        if obstacle is not None:
            if now < obstacle.until:
                return SecretFacts(name, obstacle.copy, obstacle.detail)
            del self.obstacles[grant.metadata.uid, name]
        copy = self.registry.copies.get((grant.metadata.namespace, name))
        delivery = sealed.deliveries.get(name) if sealed else None
        if opened is None:
            current = copy is not None and sealed is not None and sealed.meta is not None and copy.generation == sealed.meta.generation
            return SecretFacts(name, Copy.CURRENT if current else Copy.STALE)
        if any(templates.find_fault(text) for text in spec.templates.values()):
            return SecretFacts(name, Copy.UNWRITABLE, "one of its templates cannot be filled")
        try:
            wanted = rendering.write_copy(grant, spec, opened.tokens.lend(opened.generation), delivery.id if delivery else "")
        except templates.TemplateTooLong as error:
            return SecretFacts(name, Copy.UNWRITABLE, str(error))
        return SecretFacts(name, rendering.compare(copy, delivery, wanted))
