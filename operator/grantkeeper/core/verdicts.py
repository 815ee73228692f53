"""Judge each condition of a grant on its own: every situation that a grant can be in, and the sentence that says what to do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

from grantkeeper.core.admission import Admission
from grantkeeper.core.asking import REFUSALS, describe_waiting, describe_widening, say_where
from grantkeeper.core.conditions import Verdict, false, pending, true
from grantkeeper.core.facts import Copy, Facts, Trouble
from grantkeeper.core.reasons import Reason
from grantkeeper.core.refreshing import describe_wish
from grantkeeper.core.times import to_text

END_WARNED_OF = {timedelta(days=1): "a day", timedelta(days=7): "a week"}
"""How far ahead the end of a refresh token is announced, the shortest first."""


def accepted(facts: Facts) -> Verdict:
    """The namespace is kept, the connector exists, admits it and offers the scopes, and what is to be delivered can be."""
    if not facts.is_kept:
        return pending("Accepted", NOT_KEPT)
    name, elsewhere = facts.connector.name, facts.connector.namespace
    if not facts.connector.exists:
        place = f"namespace {elsewhere}; create it there" if elsewhere else "this namespace; create it"
        return false("Accepted", Reason.CONNECTOR_NOT_FOUND, f"There is no OAuthConnector {name} in {place}.")
    if facts.connector.admission is Admission.UNKNOWN:
        return pending("Accepted", "The labels of this namespace have not been read yet.")
    if facts.connector.admission is Admission.REFUSED:
        return false("Accepted", Reason.NAMESPACE_NOT_ALLOWED, NOT_ADMITTED.format(name=name, namespace=elsewhere))
    if facts.connector.lacks:
        missing = " ".join(facts.connector.lacks)
        return false(
            "Accepted", Reason.SCOPES_NOT_OFFERED, f"The connector does not offer: {missing}. Add them to its scopes, or drop them here."
        )
    if facts.template_fault:
        return false("Accepted", Reason.INVALID_TEMPLATE, f"{facts.template_fault}.")
    return true("Accepted", Reason.ACCEPTED)


def authorized(facts: Facts) -> Verdict:
    """A usable consent is held."""
    if (unkept := _judge_unkept(facts)) is not None:
        return unkept
    verdict = _judge_consent(facts)
    if not facts.is_suspended or facts.has_open_request or verdict.holds:
        return verdict
    if verdict.reason in {Reason.AWAITING_CONSENT, Reason.PENDING}:
        return pending("Authorized", ASKED_WHEN_RESUMED)
    return replace(verdict, message=f"{verdict.message} {ASKED_WHEN_RESUMED}")


ASKED_WHEN_RESUMED = "No one is asked while spec.suspend is true."


def _judge_unkept(facts: Facts) -> Verdict | None:
    """What there is to say where a consent was given to a connector that keeps no tokens."""
    if facts.connector.keeps_tokens or facts.trouble is not None or facts.consent is None:
        return None
    message = "The connector keeps no tokens (spec.tokenStorage is Disabled)."
    if facts.profile is not None:
        message += f" The account is connected; what came was {'revoked at once' if facts.profile.revoked else THROWN_AWAY}."
    if facts.holding is not None:
        message += " The tokens from before stay sealed: they go on when it is Enabled again, and end with the grant."
    return false("Authorized", Reason.TOKENS_NOT_KEPT, message)


THROWN_AWAY = "thrown away, but not revoked: the server does not take it, or tokens that are held may be the same account's"


def _judge_consent(facts: Facts) -> Verdict:
    if facts.trouble is Trouble.REPLACED:
        return false(
            "Authorized",
            Reason.CONNECTOR_REPLACED,
            f"The connector is no longer the client that these tokens belong to. To consent again, {say_where(facts)}.",
        )
    if facts.trouble is Trouble.UNSEALABLE:
        return false(
            "Authorized",
            Reason.UNSEALABLE,
            f"The sealed tokens do not open here ({facts.trouble_detail}); restore the keyring. They are kept as they are.",
        )
    if facts.is_dead and facts.refusal is Reason.ACCOUNT_MISMATCH:
        return false(
            "Authorized",
            Reason.ACCOUNT_MISMATCH,
            f"A refresh brought another account's token, which is not used. To consent again, {say_where(facts)}.",
        )
    if facts.is_dead:
        return false(
            "Authorized",
            Reason.REAUTHORIZATION_REQUIRED,
            f"The authorization server refuses the refresh token, or it may be spent. To consent again, {say_where(facts)}.",
        )
    if facts.holding is not None:
        return true("Authorized", Reason.CONSENTED, describe_widening(facts) if facts.is_served else "")
    if facts.refusal is not None and facts.is_served:
        return false("Authorized", facts.refusal, REFUSALS[facts.refusal].format(expected=facts.expected_account, where=say_where(facts)))
    if (why := _why_no_one_is_asked(facts)) is not None:
        return pending("Authorized", why)
    return false("Authorized", Reason.AWAITING_CONSENT, describe_waiting(facts))


def _why_no_one_is_asked(facts: Facts) -> str | None:
    if not facts.is_served or not facts.connector.exists:
        return "No one is asked: see Accepted."
    if facts.connector.exists and facts.connector.lacks:
        return "No one is asked for scopes that the connector does not offer."
    if facts.connector.exists and facts.template_fault:
        return "No one is asked before the templates are in order."
    if not facts.connector.ready and not facts.has_open_request:
        return f"No one can be asked before OAuthConnector {facts.connector.name} is ready: see its own status."
    return None


NOT_KEPT = (
    "Grants of this namespace are not kept: whoever runs grantkeeper can list it in watch.namespaces of the chart. Until then nobody is "
    "asked, nothing is refreshed, and Secrets stay as they are; what is sealed is kept."
)
NOT_ADMITTED = (
    "OAuthConnector {name} in namespace {namespace} does not admit this namespace; its owner can admit it in spec.allowedNamespaces. Until "
    "then nobody is asked, nothing is refreshed, and what was delivered is withdrawn; what is sealed is kept."
)
NOTHING_HELD = "There is no token that could be used."


def fresh(facts: Facts) -> Verdict:
    """The access token has not expired, and is kept so."""
    verdict, wish = _judge_freshness(facts), describe_wish(facts)
    return replace(verdict, message=f"{verdict.message} {wish}".lstrip()) if wish else verdict


def _judge_freshness(facts: Facts) -> Verdict:
    holding = facts.holding
    if facts.is_suspended:
        return false("Fresh", Reason.SUSPENDED, "Nothing is refreshed while spec.suspend is true; what is held stays sealed.")
    if holding is None or not facts.connector.keeps_tokens:
        return pending("Fresh", NOTHING_HELD)
    failing = f" Refreshing fails: {facts.failure}." if facts.failure else ""
    said = " ".join(filter(None, (failing.strip(), warn_of_end(facts))))
    if holding.expires_at is None:
        return true("Fresh", Reason.NEVER_EXPIRES, said)
    if facts.now < holding.expires_at:
        return true("Fresh", Reason.UNEXPIRED, said)
    expired = f"The access token expired at {to_text(holding.expires_at)}."
    if not holding.is_refreshable:
        return false("Fresh", Reason.NOT_REFRESHABLE, f"{expired} The server gave no refresh token. To consent again, {say_where(facts)}.")
    if not facts.is_served:
        return false("Fresh", Reason.EXPIRED, f"{expired} It is not refreshed: see Accepted.")
    if facts.is_dead:
        return false("Fresh", Reason.EXPIRED, f"{expired} It is not refreshed: see Authorized.")
    if facts.failure:
        return false("Fresh", Reason.REFRESH_FAILING, expired + failing)
    if facts.connector.is_judged and not facts.connector.ready:
        why = "is not ready: see its own status" if facts.connector.exists else "is not there: see Accepted"
        return false("Fresh", Reason.CONNECTOR_NOT_READY, f"{expired} The connector {why}.")
    return false("Fresh", Reason.EXPIRED, f"{expired} It is being refreshed.")


def warn_of_end(facts: Facts) -> str:
    """That the refresh token runs out for good, a week and a day ahead; nothing where its use brings a new one."""
    holding = facts.holding
    if holding is None or holding.refresh_expires_at is None or holding.is_renewed:
        return ""
    if facts.now >= holding.refresh_expires_at:
        return f"The refresh token expired at {to_text(holding.refresh_expires_at)}; the person must consent again."
    near = next((words for span, words in END_WARNED_OF.items() if facts.now >= holding.refresh_expires_at - span), None)
    if near is None:
        return ""
    return f"The refresh token expires within {near}, at {to_text(holding.refresh_expires_at)}; the person must consent again before."


def delivered(facts: Facts) -> Verdict:
    """Consumers have it."""
    if facts.is_withheld:
        return _judge_withdrawal(facts)
    if facts.holding is None:
        return pending("Delivered", NOTHING_HELD)
    if not facts.is_served:
        return pending("Delivered", "No Secret is written: see Accepted.")
    for secret in facts.secrets:
        if secret.copy is Copy.FOREIGN:
            return false(
                "Delivered",
                Reason.SECRET_CONFLICT,
                f"Secret {secret.name} exists and is not grantkeeper's; it is not touched. Delete it, or deliver to another name.",
            )
        if secret.copy is Copy.UNWRITABLE:
            return false("Delivered", Reason.WRITE_FAILED, f"Secret {secret.name} cannot be written: {secret.detail}.")
    behind = [secret.name for secret in facts.secrets if secret.copy is not Copy.CURRENT]
    if behind and not facts.connector.exists:
        return pending("Delivered", f"Nothing can be written without the connector: {', '.join(behind)}.")
    if behind:
        return pending("Delivered", f"Being written: {', '.join(behind)}.")
    return true("Delivered", Reason.DELIVERED if facts.secrets else Reason.ON_REQUEST)


def _judge_withdrawal(facts: Facts) -> Verdict:
    if facts.handed_out:
        return pending("Delivered", f"Being withdrawn: {', '.join(facts.handed_out)}.")
    if facts.is_suspended:
        return pending("Delivered", "Nothing is handed out while spec.suspend is true.")
    return pending("Delivered", NOTHING_HELD if facts.is_served else "No Secret is written: see Accepted.")


CHECKS: tuple[Callable[[Facts], Verdict], ...] = (
    accepted,  # the connector exists, admits the namespace and offers the scopes, and what is to be delivered can be
    authorized,  # a usable consent is held
    fresh,  # the access token has not expired, and is kept so
    delivered,  # consumers have it
)


def token_state(facts: Facts) -> str:
    """The short word that people look for: Active, Expired, Inactive or NotApplicable."""
    if not facts.connector.keeps_tokens:
        return "NotApplicable"
    if facts.holding is None or (facts.is_dead and not facts.is_alive):
        return "Inactive"
    return "Active" if facts.is_alive else "Expired"
