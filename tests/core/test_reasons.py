"""The list of reasons: whatever is true of a grant or a connector, its conditions say nothing that is not in it, where it is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grantkeeper.core.conditions import Truth, Verdict, summarize
from grantkeeper.core.facts import ConnectorFacts, Copy, Facts, Holding, SecretFacts, Trouble
from grantkeeper.core.metadata import Endpoints
from grantkeeper.core.planning import plan
from grantkeeper.core.profiles import Profile
from grantkeeper.core.reasons import OF_A_CONNECTOR, OF_A_GRANT, STALLED, Reason, Reasons
from grantkeeper.core.standing import Problem, Standing, judge_connector

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
moments = st.sampled_from([NOW - timedelta(hours=1), NOW + timedelta(hours=1)])
PROFILE = Profile(recorded_at=NOW, revoked=True)
names = st.sampled_from(["", "said"])
connectors = st.builds(
    ConnectorFacts,
    name=st.just("git"),
    admission=...,
    keeps_tokens=...,
    is_judged=...,
    shows_links=...,
    lacks=st.sampled_from([(), ("admin",)]),
    namespace=st.sampled_from([None, "platform"]),
)
holdings = st.builds(
    Holding,
    obtained_at=moments,
    expires_at=st.none() | moments,
    due_at=st.none(),
    scopes=st.just(("read",)),
    account=st.none(),
    refresh_hash=st.sampled_from([None, "hash"]),
    refresh_expires_at=st.none() | moments,
)
facts = st.builds(
    Facts,
    now=st.just(NOW),
    profile=st.sampled_from([None, PROFILE]),
    is_dead=...,
    is_suspended=...,
    is_kept=...,
    has_open_request=...,
    has_link=...,
    connector=connectors,
    holding=st.none() | holdings,
    trouble=st.none() | st.sampled_from(Trouble),
    refusal=st.sampled_from([None, Reason.CONSENT_DENIED, Reason.EXCHANGE_FAILED, Reason.ACCOUNT_MISMATCH]),
    failure=names,
    template_fault=names,
    secrets=st.lists(st.builds(SecretFacts, name=st.just("token"), copy=st.sampled_from(Copy)), max_size=2).map(tuple),
    handed_out=st.sampled_from([(), ("token",)]),
    wanted=st.sampled_from([(), ("read",), ("read", "write")]),
    link_ends_at=st.none() | moments,
)
problems = st.none() | st.sampled_from([Problem(reason, "x") for reason in Reason])


def assert_listed(verdicts: Iterable[Verdict], known: Mapping[str, Reasons]) -> None:
    """Each is in the list under its condition, and `Ready` and `Stalled` repeat one of them."""
    said = {verdict.type: verdict for verdict in verdicts}
    ready, stalled = said.pop("Ready"), said.pop("Stalled", None)
    assert list(said) == list(known)
    for verdict in said.values():
        may = {Truth.TRUE: known[verdict.type].when_true, Truth.FALSE: known[verdict.type].when_false, Truth.UNKNOWN: {Reason.PENDING}}
        assert verdict.reason in may[verdict.truth]
    first = next((verdict for verdict in said.values() if not verdict.holds), None)
    assert (ready.truth, ready.reason) == ((first.truth, first.reason) if first else (Truth.TRUE, Reason.READY))
    assert (stalled.reason if stalled else None) == next((v.reason for v in said.values() if v.reason in STALLED), None)


@given(facts)
def test_a_grant_says_what_is_in_the_list(found: Facts) -> None:
    assert_listed(plan(found).verdicts, OF_A_GRANT)


@pytest.mark.parametrize("reason", sorted({Reason.PENDING} | {r for said in OF_A_CONNECTOR.values() for r in said.when_false}))
def test_a_connector_says_what_is_in_the_list(reason: Reason) -> None:
    problem = Problem(reason, "x")
    found = {
        "Accepted": Standing(is_judged=True, metadata_problem=problem),
        "ResolvedRefs": Standing(is_judged=True, secret_problem=problem),
        "Reachable": Standing(is_judged=True, fetch_problem=problem, endpoints=Endpoints("https://as/a", "https://as/t")),
    }
    where = next((kind for kind, said in OF_A_CONNECTOR.items() if reason in said.when_false), None)
    assert_listed(judge_connector(found[where] if where else Standing()), OF_A_CONNECTOR)


def test_each_reason_is_somewhere_and_stalled_ones_are_of_what_does_not_hold() -> None:
    everywhere = [said for known in (OF_A_GRANT, OF_A_CONNECTOR) for said in known.values()]
    failing = {reason for said in everywhere for reason in said.when_false}
    holding = {reason for said in everywhere for reason in said.when_true}
    assert failing | holding | {Reason.READY, Reason.PENDING} == set(Reason)
    assert not failing & holding
    assert failing >= STALLED


def test_ready_repeats_the_first_and_stalled_the_first_that_somebody_else_must_mend() -> None:
    waiting = Verdict("Authorized", Truth.FALSE, Reason.AWAITING_CONSENT, "a")
    taken = Verdict("Delivered", Truth.FALSE, Reason.SECRET_CONFLICT, "b")
    _, _, ready, stalled = summarize((waiting, taken))
    assert (ready.reason, ready.message) == (Reason.AWAITING_CONSENT, "a")
    assert (stalled.truth, stalled.reason, stalled.message) == (Truth.TRUE, Reason.SECRET_CONFLICT, "b")
