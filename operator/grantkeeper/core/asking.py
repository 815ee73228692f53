"""Whether somebody is to be asked, for what, and where they can answer: as facts, and as the words that status has for it."""

from __future__ import annotations

from collections.abc import Mapping

from grantkeeper.core.facts import Facts
from grantkeeper.core.reasons import Reason
from grantkeeper.core.requests import CONNECT_ANNOTATION
from grantkeeper.core.times import to_text

REFUSALS: Mapping[Reason, str] = {
    Reason.CONSENT_DENIED: "The person, or the authorization server, said no; to ask once more, {where}.",
    Reason.EXCHANGE_FAILED: "The consent could not be exchanged for tokens; to ask once more, {where}.",
    Reason.ACCOUNT_MISMATCH: (
        "Another account consented than spec.expectedAccount names ({expected}), or the server did not say which; "
        "what came was thrown away. To ask once more, {where}."
    ),
}


def unasked_scopes(facts: Facts) -> tuple[str, ...]:
    """The scopes that are wanted, and were neither asked for nor granted when the person last consented."""
    if facts.holding is None:
        return ()
    known = {*facts.holding.scopes, *(facts.holding.asked or ())}
    return tuple(scope for scope in facts.wanted if scope not in known)


def missing_scopes(facts: Facts) -> tuple[str, ...]:
    """The scopes that are wanted and not granted; none where nobody has consented."""
    if facts.consent is None:
        return ()
    return tuple(scope for scope in facts.wanted if scope not in facts.consent.scopes)


def say_where(facts: Facts) -> str:
    """Where the person can consent, or who can give them a link: the end of a sentence."""
    if facts.has_link:
        return "use the link in status.consentURL"
    if facts.has_open_request and facts.link_ends_at is not None:
        return f"use the link that somebody asked for, which ends at {to_text(facts.link_ends_at)}"
    if facts.connector.shows_links:
        return "use the link that will be in status.consentURL as soon as anybody can be asked"
    return f"somebody who may create usergrants/consent sets the annotation {CONNECT_ANNOTATION}, as crds/README.md shows"


def describe_waiting(facts: Facts) -> str:
    """What a grant waits for that nobody has consented to."""
    if facts.has_link:
        return "The person has been asked and has not answered yet; the link is in status.consentURL."
    if facts.has_open_request:
        return f"A link was asked for and has not been answered yet; to consent, {say_where(facts)}."
    return f"Nobody is being asked; to consent, {say_where(facts)}."


def describe_widening(facts: Facts) -> str:
    """What is still to be consented to while the tokens that are held stay in use; empty where that is nothing."""
    unasked = unasked_scopes(facts)
    if not unasked:
        return ""
    refused = f" The last request for it ended in {facts.last_refusal}." if facts.last_refusal else ""
    return f"Still to be consented to: {' '.join(unasked)}. For that, {say_where(facts)}.{refused}"
