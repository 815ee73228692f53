"""What reading a connector's client secrets makes of what is known of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import SecretStr

from grantkeeper.core import circuits
from grantkeeper.core.clientsecrets import note_client_secrets
from grantkeeper.core.reasons import Reason
from grantkeeper.core.standing import Problem, Standing, note

NOW = datetime(2026, 11, 21, 6, 30, tzinfo=UTC)
A, B = SecretStr("a"), SecretStr("b")
MISSING = Problem(Reason.SECRET_NOT_FOUND, "There is no such Secret.")
KNOWN = Standing(secret=A, is_judged=True)
REJECTED = note(KNOWN, Problem(Reason.CLIENT_REJECTED, "The client is rejected."), NOW)
CHANGED: dict[str, Any] = {"healed_at": NOW, "changed_at": NOW}


@pytest.mark.parametrize(
    ("before", "first", "second", "after"),
    [
        pytest.param(KNOWN, A, None, KNOWN, id="as it was"),
        pytest.param(REJECTED, A, None, REJECTED, id="as it was when it was rejected: nothing is mended"),
        pytest.param(KNOWN, B, None, replace(KNOWN, secret=B, **CHANGED), id="another one"),
        pytest.param(REJECTED, B, None, replace(KNOWN, secret=B, **CHANGED), id="another one than was rejected"),
        pytest.param(KNOWN, A, B, replace(KNOWN, fallback_secret=B, **CHANGED), id="a second one more"),
        pytest.param(KNOWN, A, MISSING, replace(KNOWN, fallback_problem=MISSING), id="a second one that cannot be used"),
        pytest.param(Standing(), A, None, Standing(secret=A), id="the first that is known: it heals nothing"),
        pytest.param(KNOWN, MISSING, None, replace(KNOWN, secret=None, secret_problem=MISSING), id="none"),
        pytest.param(REJECTED, MISSING, None, replace(REJECTED, secret=None, secret_problem=MISSING), id="none, after it was rejected"),
        pytest.param(replace(KNOWN, secret=None, secret_problem=MISSING), A, None, replace(KNOWN, **CHANGED), id="one again"),
    ],
)
def test_what_is_read_counts(before: Standing, first: Any, second: Any, after: Standing) -> None:
    assert note_client_secrets(before, first, second, NOW) == after


def test_another_secret_ends_no_silence() -> None:
    silent = replace(KNOWN, noted=Problem(Reason.UNREACHABLE, "No answer."), circuit=circuits.fail(None, circuits.SILENCE, NOW))
    assert note_client_secrets(silent, B, None, NOW) == replace(silent, secret=B)


def test_nothing_new_is_the_same_value() -> None:
    assert note_client_secrets(KNOWN, A, None, NOW) is KNOWN
