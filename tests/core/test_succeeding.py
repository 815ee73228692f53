"""A new consent without a refresh token: what is taken over, and what never is."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from pydantic import SecretStr

from grantkeeper.core.records import Attempt, Claim, Holder, Sealed, Spending
from grantkeeper.core.succeeding import succeed
from grantkeeper.core.tokens import TokenSet, fingerprint

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
ALICE, BOB, NOBODY = {"iss": "i", "sub": "alice"}, {"iss": "i", "sub": "bob"}, None
QUIET = Sealed(uid="u", namespace="n", name="g", tokenset="sealed")
OLD = "old-refresh-token"
CLAIM = Claim(attempt="a", holder=Holder(pod="p", boot="b"), spending=Spending.REFRESH_TOKEN, hash="h", generation=1, lost=True)


def tokens(refresh_token: str | None, account: dict[str, str] | None) -> TokenSet:
    return TokenSet.model_validate(
        {"access_token": "a", "refresh_token": refresh_token, "token_type": "Bearer", "obtained_at": NOW, "id_claims": account}
    )


def after(reason: str, token: str = OLD) -> Sealed:
    """The sealed Secret after an attempt on a refresh token that ended so."""
    outcome = Attempt(hash=fingerprint(SecretStr(token)), reason=reason, time=NOW, spec_generation=1)
    return QUIET.model_copy(update={"outcome": outcome})


@pytest.mark.parametrize(
    ("held", "came", "before", "kept"),
    [
        pytest.param(tokens(OLD, ALICE), tokens(None, ALICE), QUIET, OLD, id="the same account, and nothing new: taken over"),
        pytest.param(tokens(OLD, ALICE), tokens(None, ALICE), after("Refreshed"), OLD, id="after a refresh"),
        pytest.param(tokens(OLD, ALICE), tokens(None, ALICE), after("Unreachable"), OLD, id="after a failure that spent nothing"),
        pytest.param(tokens(OLD, ALICE), tokens("new", ALICE), QUIET, "new", id="a new one"),
        pytest.param(tokens(OLD, ALICE), tokens(None, BOB), QUIET, None, id="another account"),
        pytest.param(tokens(OLD, NOBODY), tokens(None, NOBODY), QUIET, None, id="accounts that are not known"),
        pytest.param(tokens(OLD, ALICE), tokens(None, NOBODY), QUIET, None, id="an account that is not known any more"),
        pytest.param(tokens(OLD, ALICE), tokens(None, ALICE), after("ReauthorizationRequired"), None, id="it was refused"),
        pytest.param(tokens(OLD, ALICE), tokens(None, ALICE), after("AccountMismatch"), None, id="it brought another account"),
        pytest.param(
            tokens(OLD, ALICE), tokens(None, ALICE), after("ReauthorizationRequired", "older"), OLD, id="an older one was refused"
        ),
        pytest.param(
            tokens(OLD, ALICE),
            tokens(None, ALICE),
            QUIET.model_copy(update={"claim": CLAIM}),
            None,
            id="it may be spent: an answer was lost",
        ),
        pytest.param(tokens(None, ALICE), tokens(None, ALICE), QUIET, None, id="there never was one"),
        pytest.param(None, tokens(None, ALICE), QUIET, None, id="nothing was held"),
    ],
)
def test_the_refresh_token_of_a_new_consent(held: TokenSet | None, came: TokenSet, before: Sealed, kept: str | None) -> None:
    token = succeed(held, came, before).refresh_token
    assert (token.get_secret_value() if token else None) == kept
