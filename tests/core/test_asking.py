"""What status says to those who are to consent: where they can, or who gives them a link."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from grantkeeper.core.asking import REFUSALS, describe_waiting, describe_widening, missing_scopes, say_where, unasked_scopes
from grantkeeper.core.facts import ConnectorFacts, Facts, Holding

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
ON_REQUEST = ConnectorFacts("calendar", exists=True, ready=True, endpoints_known=True)
STATUS = replace(ON_REQUEST, shows_links=True)
NOBODY = Facts(now=NOW, is_deleting=False, connector=ON_REQUEST)
SHOWN = replace(NOBODY, connector=STATUS, has_open_request=True, has_link=True)
OWN = replace(NOBODY, has_open_request=True, link_ends_at=NOW + timedelta(minutes=15))
HELD = Holding(1, NOW, None, None, ("read",), None, None, asked=("read", "write"))

HOW = "somebody who may create usergrants/consent sets the annotation grantkeeper.dev/connect, as crds/README.md shows"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        pytest.param(SHOWN, "use the link in status.consentURL", id="a link in the status"),
        pytest.param(replace(SHOWN, link_ends_at=NOW), "use the link in status.consentURL", id="one in the status, and one of somebody's"),
        pytest.param(OWN, "use the link that somebody asked for, which ends at 2026-11-21T12:15:00Z", id="a link of somebody's own"),
        pytest.param(
            replace(NOBODY, connector=STATUS),
            "use the link that will be in status.consentURL as soon as anybody can be asked",
            id="a link will follow",
        ),
        pytest.param(NOBODY, HOW, id="nobody has asked for one"),
    ],
)
def test_where(given: Facts, words: str) -> None:
    assert say_where(given) == words


def test_a_grant_that_waits_says_for_whom() -> None:
    assert describe_waiting(NOBODY) == f"Nobody is being asked; to consent, {HOW}."
    assert "somebody asked for" in describe_waiting(OWN)
    assert describe_waiting(SHOWN).endswith("the link is in status.consentURL.")


@pytest.mark.parametrize("sentence", REFUSALS.values(), ids=REFUSALS)
def test_no_refusal_names_a_link_that_is_not_there(sentence: str) -> None:
    assert "status.consentURL" not in sentence.format(expected="subject 1", where=say_where(NOBODY))


@pytest.mark.parametrize(
    ("wanted", "holding", "unasked", "missing"),
    [
        pytest.param(("read",), HELD, (), (), id="narrower than what is held"),
        pytest.param(("read", "write"), HELD, (), ("write",), id="asked for, and not granted"),
        pytest.param(("read", "write", "admin"), HELD, ("admin",), ("write", "admin"), id="wider"),
        pytest.param(("read", "write"), replace(HELD, asked=None), ("write",), ("write",), id="what was asked is not known"),
        pytest.param(("read", "extra"), replace(HELD, scopes=("extra", "read")), (), (), id="granted beyond what was asked"),
        pytest.param(("read",), replace(HELD, scopes=(), asked=()), ("read",), ("read",), id="scopes where none were asked for before"),
        pytest.param(("read",), None, (), (), id="nothing is held"),
    ],
)
def test_scopes(wanted: tuple[str, ...], holding: Holding | None, unasked: tuple[str, ...], missing: tuple[str, ...]) -> None:
    given = replace(NOBODY, wanted=wanted, holding=holding)
    assert unasked_scopes(given) == unasked
    assert missing_scopes(given) == missing
    assert bool(describe_widening(given)) is bool(unasked)


def test_a_refused_widening_is_told() -> None:
    given = replace(SHOWN, wanted=("read", "admin"), holding=HELD, last_refusal="ConsentDenied")
    assert describe_widening(given) == (
        "Still to be consented to: admin. For that, use the link in status.consentURL. The last request for it ended in ConsentDenied."
    )
