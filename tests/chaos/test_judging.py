from __future__ import annotations

import pytest

from bench.figures import find_faults
from chaos import rules
from chaos.archive import CODE
from chaos.evidence import BY_ITSELF, Kind, Mishap
from chaos.judging import Judgement, judge
from chaos.settings import read
from chaos.strewn import A, Strewn, call, cut, kill, refused, stop

CONSENTED = call("c0", 90, grant_type=CODE, access_token="a1", refresh_token="r1")


def quiet() -> Strewn:
    """A consent, and one refresh in time."""
    strewn = Strewn().claim("c0", "code").store(1).deliver(1, at=90).report(1)
    strewn.claim("r1", "one", at=97).store(2, at=97).deliver(2, at=97).report(2)
    return strewn.calls(CONSENTED, call("r1", 97))


def judged(strewn: Strewn, *, least: tuple[int, int] | None = None, unwell: tuple[str, ...] = ()) -> Judgement:
    return judge(strewn.evidence, between=(90, 107), lifetime=10, unwell=unwell, least=least)


def value(judgement: Judgement, name: str) -> float | None:
    return next(figure.value for figure in judgement.figures if figure.name == name)


def test_where_nothing_broke_every_bound_is_kept() -> None:
    judgement = judged(quiet())
    assert not judgement.breaches
    assert not find_faults(judgement.figures)
    assert value(judgement, "refreshes") == 1


@pytest.mark.parametrize(
    ("strewn", "fault"),
    [
        pytest.param(quiet().calls(refused("r1", 104)), rules.AGAIN, id="a spent token"),
        pytest.param(quiet().report(1), rules.TURNED_BACK, id="a status that goes back"),
        pytest.param(quiet().claim("r2", "two", generation=2).calls(call("r2", 105), call("c9", 106, grant_type=CODE, account="alice#2")),
                     "a grant lost without a cause", id="a consent anew"),
    ],
)  # fmt: skip
def test_what_broke_is_told_and_over_its_bound(strewn: Strewn, fault: str) -> None:
    judgement = judged(strewn)
    assert fault in {breach.rule for breach in judgement.breaches}
    assert any(said.startswith(fault) for said in find_faults(judgement.figures))


def test_a_grant_that_is_not_well_in_the_end_is_a_fault() -> None:
    assert find_faults(judged(quiet(), unwell=("alice",)).figures)


def test_a_loss_with_a_cause_keeps_its_bound() -> None:
    strewn = quiet().claim("r2", "two", generation=2).calls(cut("r2", 104), call("c9", 106, grant_type=CODE, account="alice#2"))
    judgement = judged(strewn)
    assert (value(judgement, "grants lost"), find_faults(judgement.figures)) == (1, [])


def test_more_losses_by_kills_than_there_were_kills_of_a_leader_are_too_many() -> None:
    strewn = quiet().claim("r2", "two", generation=2).calls(call("r2", 104), call("c9", 106, grant_type=CODE, account="alice#2"))
    judgement = judged(strewn.mishaps(kill(104.1, led=False)))
    assert (value(judgement, "grants lost"), len(judgement.breaches)) == (1, 0)
    assert [fault.partition(":")[0] for fault in find_faults(judgement.figures)] == ["grants lost"]


def test_a_storm_that_ended_too_soon_is_a_fault() -> None:
    assert not find_faults(judged(quiet(), least=(1, 0)).figures)
    assert len(find_faults(judged(quiet(), least=(2, 1)).figures)) == 2


def test_what_was_done_is_counted() -> None:
    strewn = quiet().mishaps(kill(95), kill(96, led=False, lost=True, step="refresh.sent:kill@4"), stop(97, 3), stop(99, 20))
    judgement = judged(strewn.mishaps(Mishap(Kind.KILL, A, 100, 101, step=BY_ITSELF), Mishap(Kind.CUT, A, 100, 101)))
    names = ("kills", "kills of the leader", "kills at a step of the protocol", "replicas that ended by themselves")
    assert [value(judgement, name) for name in names] == [2, 1, 1, 1]
    names = ("Pods lost with their journal", "stops", "stops past the lease", "ways to the API server cut")
    assert [value(judgement, name) for name in names] == [1, 2, 1, 1]


def test_the_long_form_ends_by_numbers_and_a_seed_is_taken() -> None:
    short, long = read({"SEED": "a"}), read({"LONG": "1"})
    assert (short.seed, short.refreshes, short.kills) == ("a", None, None)
    assert (long.refreshes, long.kills) == (100_000, 1_000)
    assert short.whole is not None
    assert short.whole <= 600 < long.storm
    assert read({}).seed != read({}).seed
