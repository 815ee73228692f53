"""Status: the report of what was judged. It is compared with what stands there, so that nothing is written when nothing changed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, TypeVar

from pydantic import TypeAdapter

from grantkeeper.core.accounts import show
from grantkeeper.core.asking import missing_scopes
from grantkeeper.core.conditions import Verdict, merge
from grantkeeper.core.facts import Facts
from grantkeeper.core.oauth import challenge
from grantkeeper.core.planning import Plan
from grantkeeper.core.records import Sealed
from grantkeeper.core.refreshing import refresh_at
from grantkeeper.core.requests import ConsentRequest, find_shown
from grantkeeper.core.times import to_text
from grantkeeper.core.verdicts import token_state
from grantkeeper.resources import ConsentRequestStatus, OAuthConnector, OAuthConnectorStatus, ServerStatus, UserGrant, UserGrantStatus

SCOPES_SHOWN = 64
"""What the CRD admits; a server may grant more, and the sealed set keeps all of it."""

Status = TypeVar("Status", bound=OAuthConnectorStatus | UserGrantStatus)


def describe_grant(
    grant: UserGrant, facts: Facts, plan: Plan, sealed: Sealed | None, requests: Sequence[ConsentRequest], *, link_root: str
) -> UserGrantStatus:
    """The status that tells the truth about a grant. `link_root` is what stands before the id in its consent links."""
    holding, outcome = facts.holding, sealed.outcome if sealed else None
    shown = find_shown(requests, facts.now) if facts.has_link and facts.is_served and not facts.is_deleting else None
    conditions = merge(grant.status.conditions, plan.verdicts, generation=grant.metadata.generation, now=facts.now)
    return UserGrantStatus(
        observed_generation=grant.metadata.generation,
        consent_url=f"{link_root}/{shown.id.get_secret_value()}" if shown and shown.id else None,
        consent_requests=tuple(_describe_request(r) for r in requests),
        token_state=token_state(facts),
        account=show(facts.consent.account) if facts.consent else None,
        requested_scopes=requests[-1].scopes if requests else (holding.asked or ()) if holding else (),
        granted_scopes=facts.consent.scopes[:SCOPES_SHOWN] if facts.consent else (),
        missing_scopes=missing_scopes(facts),
        token_generation=sealed.meta.generation if sealed and sealed.meta else None,
        refresh_token_expiration_time=holding.refresh_expires_at if holding else None,
        expiration_time=holding.expires_at if holding else None,
        last_refresh_time=holding.obtained_at if holding else None,
        next_refresh_time=_whole(refresh_at(facts)),
        last_failure_time=outcome.time if outcome and facts.failures else None,
        last_handled_refresh=sealed.handled.refresh if sealed and sealed.handled else None,
        failed_refreshes=facts.failures or None,
        sealed_secret_name=sealed.secret_name if sealed else None,
        conditions=conditions,
    )


def describe_connector(
    connector: OAuthConnector, verdicts: Sequence[Verdict], server: ServerStatus | None, *, redirect_uri: str, grants: int, now: datetime
) -> OAuthConnectorStatus:
    """The status that tells the truth about a connector. What was known of its server stays while nobody knows better."""
    conditions = merge(connector.status.conditions, verdicts, generation=connector.metadata.generation, now=now)
    return OAuthConnectorStatus(
        observed_generation=connector.metadata.generation,
        redirect_uri=redirect_uri,
        server=server or connector.status.server,
        grants=grants,
        conditions=conditions,
    )


def patch_status(current: Status, desired: Status, resource_version: str) -> dict[str, Any] | None:
    """A merge patch of the status subresource (RFC 7396) that fails when the object has changed; None where nothing differs."""
    if current == desired:
        return None  # as nearly always: no need to write out both
    turned = {member for member in type(desired).__annotations__ if getattr(current, member) != getattr(desired, member)}
    before, after = _wire(current, turned), _wire(desired, turned)
    if before == after:
        return None
    return {"metadata": {"resourceVersion": resource_version}, "status": _find_changes(before, after)}


def _find_changes(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    """What makes one of the other: a member of an object that is to go must be named, or it stays (RFC 7396 section 2)."""
    changes: dict[str, Any] = {}
    for member in {**before, **after}:
        was, is_now = before.get(member), after.get(member)
        if was != is_now:
            changes[member] = _find_changes(was, is_now) if isinstance(was, dict) and isinstance(is_now, dict) else is_now
    return changes


def _describe_request(request: ConsentRequest) -> ConsentRequestStatus:
    return ConsentRequestStatus(
        hash=request.hash,
        challenge=challenge(request.verifier) if request.verifier else None,
        nonce=request.nonce if request.verifier else None,
        state=request.state,
        scopes=request.scopes,
        expiration_time=request.expires_at,
        reason=request.reason,
    )


def _whole(moment: datetime | None) -> datetime | None:
    """As it is written, in whole seconds: so a status that was read can be equal to one that was made."""
    return None if moment is None else moment.replace(microsecond=0)


_STATUS = TypeAdapter[OAuthConnectorStatus | UserGrantStatus](OAuthConnectorStatus | UserGrantStatus)


def _wire(status: OAuthConnectorStatus | UserGrantStatus, members: set[str]) -> dict[str, Any]:
    dumped = _STATUS.dump_python(status, by_alias=True, exclude_none=True, include=members)
    return {name: _plain(value) for name, value in dumped.items() if value not in ((), {})}


def _plain(value: Any) -> Any:  # noqa: ANN401  # any JSON value
    if isinstance(value, dict):
        return {name: _plain(member) for name, member in value.items() if member not in ((), {})}
    if isinstance(value, list | tuple):
        return [_plain(member) for member in value]
    return to_text(value) if hasattr(value, "astimezone") else value
