"""Gather the facts of one grant from memory: what the watches brought, opened and compared. No call leaves the process here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from grantkeeper.choices import ConsentLink, RequestState, TokenStorage
from grantkeeper.controller.committing import Committer
from grantkeeper.controller.comparing import Comparer, Drafts
from grantkeeper.controller.connecting import Connectors
from grantkeeper.controller.pacing import Lane, Pacer
from grantkeeper.controller.registry import Registry
from grantkeeper.controller.respecting import Respect
from grantkeeper.controller.seals import OpenedTokens, Seals
from grantkeeper.core import rendering, schedule
from grantkeeper.core.accounts import put_in_words
from grantkeeper.core.asking import REFUSALS
from grantkeeper.core.clocks import believe_wait, covers
from grantkeeper.core.connectors import see_connector
from grantkeeper.core.facts import Facts, Holding, Trouble
from grantkeeper.core.failures import IN_WORDS, describe_failure, find_place
from grantkeeper.core.keyring import Keyring
from grantkeeper.core.namespaces import Scope
from grantkeeper.core.profiles import Profile
from grantkeeper.core.reasons import Reason
from grantkeeper.core.records import Attempt, Sealed, Spending
from grantkeeper.core.refreshing import LONGEST_WISH, REFRESH_ANNOTATION, WISHES_APART, find_risk, read_refresh_wish
from grantkeeper.core.requests import ConsentRequest, expire, find_shown, give_up, read_wish, wanted_scopes
from grantkeeper.core.rotation import MAX_PRESENTATIONS, is_renewed_by_use
from grantkeeper.core.standing import MENDABLE
from grantkeeper.core.tokens import fingerprint
from grantkeeper.errors import Unsealable
from grantkeeper.resources import FINALIZER, OAuthConnector, UserGrant


@dataclass(frozen=True, slots=True)
class Gathered:
    """The facts of a grant, and what they were read from."""

    grant: UserGrant
    connector: OAuthConnector | None
    sealed: Sealed | None
    opened: OpenedTokens | None
    requests: tuple[ConsentRequest, ...]
    facts: Facts
    keyring: Keyring
    """What it was opened with."""
    drafts: Drafts
    """The delivered Secrets as this pass has written them out so far."""


@dataclass(frozen=True, slots=True)
class Gatherer:
    """Reads the registry for one process."""

    registry: Registry
    connectors: Connectors
    seals: Seals
    respect: Respect
    comparer: Comparer
    scope: Scope
    pacer: Pacer
    committer: Committer

    def gather(self, grant: UserGrant, now: datetime, earlier: Gathered | None = None) -> Gathered:
        """What is true of this grant now. What the same pass has opened already, as it stands there still, is not opened again."""
        connector = self.registry.connectors.get(grant.connector_name)
        sealed = self.registry.sealed.get(grant.metadata.uid)
        keyring = self.seals.keyring()
        seen = earlier if earlier is not None and earlier.keyring is keyring and _is_of_the_same(earlier, sealed, connector) else None
        opened, trouble, detail = self._open(grant.metadata.uid, sealed, connector, seen)
        profile, trouble, detail = self._recall(sealed, connector, trouble, detail)
        requests = self._open_requests(sealed, connector, seen)
        drafts = seen.drafts if seen is not None else {}
        is_same_set = seen is not None and opened is not None and opened is seen.opened
        holding = seen.facts.holding if seen is not None and is_same_set else self._hold(grant, connector, sealed, opened)
        handed_out = self.comparer.find_handed_out(sealed)
        left = self.committer.left_of(grant.metadata.uid)
        is_unstored = any(sealed is None or gain.fits(sealed) for gain in left)
        claim, outcome = (sealed.claim, sealed.outcome) if sealed else (None, None)
        refresh_claim = claim if claim and claim.spending is Spending.REFRESH_TOKEN else None
        leeway = timedelta(seconds=connector.spec.refresh.leeway_seconds if connector else 0)
        is_covered = refresh_claim is not None and covers(refresh_claim.retry_until, leeway=leeway, now=now)
        respected_until = self.respect.until(grant.metadata.uid, claim, now, is_covered=is_covered)
        is_ours = refresh_claim is not None and holding is not None and refresh_claim.hash == holding.refresh_hash
        is_exhausted = is_ours and refresh_claim is not None and refresh_claim.presentations >= MAX_PRESENTATIONS and not respected_until
        of_this_token = outcome is not None and holding is not None and outcome.hash == holding.refresh_hash
        refused = (
            of_this_token
            and outcome is not None
            and (outcome.is_refused or outcome.reason in {"ReauthorizationRequired", "AccountMismatch"})
            and (outcome.spec_generation == grant.metadata.generation or grant.spec.suspend)  # a pause is no new try
        )
        standing = self.connectors.standing(grant.connector_name)
        rank = self.pacer.rank(grant.metadata.uid, Lane.REVOCATION if grant.metadata.is_deleting else Lane.TOKEN)
        of_now = outcome if of_this_token and outcome is not None else None
        is_last = is_ours and refresh_claim is not None and refresh_claim.presentations == MAX_PRESENTATIONS - 1 and not is_covered
        kept_back_until = standing.last_try_at if is_last else None
        is_kept_back = of_now is not None and of_now.reason == "AnswerLost" and kept_back_until is not None and standing.is_silent
        failure = IN_WORDS["KeptBack"] if is_kept_back else describe_failure(of_now)
        failure = failure or IN_WORDS.get((standing.obstacle(now) if rank else None) or "", "")
        is_mended = of_now is not None and of_now.reason in MENDABLE and of_now.spec_generation != grant.metadata.generation
        is_waiting = of_now is not None and not is_mended and not standing.has_healed_since(of_now.reason, of_now.time)
        wait_ends = standing.bring_near(of_now.retry_not_before, of_now.reason, of_now.time) if of_now and is_waiting else None
        waits_until = believe_wait(wait_ends, noted_at=of_now.time, now=now) if of_now else None
        risk_at = None if is_covered else find_risk(refresh_claim, holding, now)
        retry = [moment for moment in (risk_at, waits_until, kept_back_until) if moment]
        wanted = wanted_scopes(grant, connector) if connector else ()
        shows_links = connector is not None and connector.spec.consent.link is ConsentLink.STATUS
        kept = give_up(expire(requests, now, wanted=wanted, shows_links=shows_links), claim.request if claim else None)
        open_requests = [request for request in kept if request.state is RequestState.OPEN]
        shown = find_shown(kept, now)
        wish, handled = read_refresh_wish(grant.metadata.annotations), sealed.handled if sealed else None
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
                connector=see_connector(grant, connector, standing, self.registry.labels_of(grant.metadata.namespace)),
                holding=holding,
                profile=profile,
                trouble=trouble,
                trouble_detail=detail,
                is_dead=refused or is_exhausted,
                refusal=_read_refusal(outcome) if holding is None or of_this_token else None,
                expected_account=put_in_words(grant.spec.expected_account),
                failure=IN_WORDS["Unstored"] if is_unstored else failure,
                failures=of_now.failures if of_now else 0,
                place=find_place(of_now) if of_now and is_waiting and standing.circuit is not None else None,
                retry_not_before=max(retry, default=None),
                claim_respected_until=respected_until,
                has_dangling_code=claim is not None and claim.spending is Spending.CODE and respected_until is None,
                answers=tuple(sorted(self.registry.answers_to(grant))),
                has_open_request=bool(open_requests),
                has_lapsed_request=kept != requests,
                request_expires_at=min((request.expires_at for request in open_requests), default=None),
                template_fault=rendering.find_template_fault(grant),
                secrets=self.comparer.compare(grant, sealed, opened, now, drafts),
                surplus=_find_surplus(grant, handed_out),
                handed_out=handed_out,
                is_suspended=grant.spec.suspend,
                waits_for_turn=rank.urgency if rank else None,
                is_hurried=is_covered,
                look_again_at=self.comparer.try_again_at(grant),
                wanted=wanted,
                wish=self._find_wish(grant, sealed),
                has_link=shown is not None,
                is_link_short=shown is not None and not set(wanted) <= set(shown.scopes),
                link_ends_at=open_requests[-1].expires_at if open_requests else None,
                last_refusal=_find_refusal(kept, wanted),
                refresh_wish=wish if handled is None or wish != handled.refresh else "",
                refresh_wish_not_before=handled.refreshed_at + WISHES_APART if handled and handled.refreshed_at else None,
                is_refresh_wish_too_long=len(grant.metadata.annotations.get(REFRESH_ANNOTATION, "")) > LONGEST_WISH,
                is_revivable=refused and not is_exhausted and outcome is not None and outcome.reason != "AccountMismatch",
                kept_aside=tuple(recovered.secret_name for recovered in self.registry.aside.of(grant.metadata.uid)),
                is_unstored=is_unstored,
                has_left=bool(left),
                is_kept=self.scope.keeps(grant.metadata.namespace),
            ),
            keyring,
            drafts,
        )

    def _open(
        self, uid: str, sealed: Sealed | None, connector: OAuthConnector | None, seen: Gathered | None
    ) -> tuple[OpenedTokens | None, Trouble | None, str]:
        if uid in self.registry.unreadable:
            return None, Trouble.UNSEALABLE, "record"
        if sealed is None or connector is None:
            return None, None, ""
        if seen is not None and seen.opened is not None and seen.sealed is not None and seen.sealed.tokenset == sealed.tokenset:
            return seen.opened, None, ""
        try:
            return self.seals.open_tokens(sealed, connector.spec), None, ""
        except Unsealable as error:
            return None, Trouble.REPLACED if error.reason == "connector" else Trouble.UNSEALABLE, error.reason

    def _open_requests(self, sealed: Sealed | None, connector: OAuthConnector | None, seen: Gathered | None) -> tuple[ConsentRequest, ...]:
        if sealed is None or connector is None:
            return ()
        if seen is not None and seen.sealed is not None and seen.sealed.requests == sealed.requests:
            return seen.requests
        return self.seals.open_requests(sealed, connector.spec)

    def _find_wish(self, grant: UserGrant, sealed: Sealed | None) -> str:
        """The hash that somebody asks for a link with, unless that was acted on."""
        wish = read_wish(grant.metadata.annotations) or ""
        return wish if sealed is None or sealed.handled is None or wish not in sealed.handled.connect else ""

    def _recall(
        self, sealed: Sealed | None, connector: OAuthConnector | None, trouble: Trouble | None, detail: str
    ) -> tuple[Profile | None, Trouble | None, str]:
        """The profile, and what is in the way of what is used: of the set where tokens are kept, and of the profile where they are not."""
        if sealed is None or connector is None or sealed.profile is None:
            return None, trouble, detail
        is_used = connector.spec.token_storage is TokenStorage.DISABLED
        try:
            profile = self.seals.open_profile(sealed, connector.spec)
        except Unsealable as error:
            if not is_used or trouble is not None:
                return None, trouble, detail
            return None, Trouble.REPLACED if error.reason == "connector" else Trouble.UNSEALABLE, error.reason
        return profile, None if is_used and trouble is Trouble.REPLACED else trouble, detail

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
        is_renewed = is_renewed_by_use(refresh, tokens)
        deadlines = (tokens.expires_at, tokens.refresh_expires_at if is_renewed else None)
        dues = [
            schedule.due_at(obtained_at=tokens.obtained_at, expires_at=deadline, percent=refresh.lifetime_percent, uid=grant.metadata.uid)
            for deadline in deadlines
            if deadline is not None
        ]
        return Holding(
            generation=opened.generation,
            obtained_at=tokens.obtained_at,
            expires_at=tokens.expires_at,
            due_at=min(dues, default=None),
            scopes=tokens.scopes,
            account=tokens.id_claims,
            refresh_hash=fingerprint(tokens.refresh_token) if tokens.refresh_token else None,
            refresh_expires_at=tokens.refresh_expires_at,
            is_renewed=is_renewed,
            asked=tokens.asked,
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


def _is_of_the_same(earlier: Gathered, sealed: Sealed | None, connector: OAuthConnector | None) -> bool:
    """Whether what opens for these opened for those, but for its own text: the same grant, and the same client of the same server."""
    if earlier.sealed is None or sealed is None or earlier.connector is None or connector is None:
        return False
    names, known = (sealed.uid, sealed.namespace, sealed.name), (earlier.sealed.uid, earlier.sealed.namespace, earlier.sealed.name)
    return names == known and earlier.connector.spec is connector.spec


def _find_surplus(grant: UserGrant, handed_out: tuple[str, ...]) -> tuple[str, ...]:
    """The delivered Secrets of ours that are not asked for any more."""
    asked = {spec.name for spec in grant.spec.secrets}
    return tuple(name for name in handed_out if name not in asked)


def _read_refusal(outcome: Attempt | None) -> Reason | None:
    """Why the last attempt brought no tokens. What is stored is a plain word; some of these words are condition reasons."""
    return next((reason for reason in REFUSALS if outcome is not None and reason == outcome.reason), None)


def _find_refusal(requests: Sequence[ConsentRequest], wanted: tuple[str, ...]) -> str | None:
    """Why the last request that was answered brought nothing, if it asked for all that is wanted."""
    answered = [request for request in requests if request.state in {RequestState.GRANTED, RequestState.REFUSED}]
    return answered[-1].reason if answered and set(wanted) <= set(answered[-1].scopes) else None
