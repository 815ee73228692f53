from __future__ import annotations

import pytest

from chaos.archive import CODE, Cause
from chaos.losses import SEALING, count_beside, find_losses, poisson_quantile
from chaos.strewn import Strewn, call, cut, dropped, kill, late, refused

CONSENTED = call("c0", 90, grant_type=CODE, access_token="a1", refresh_token="r1")
ANEW = call("c8", 120, grant_type=CODE, account="alice#2", access_token="a9", refresh_token="r9")


def story() -> Strewn:
    """Somebody consented, got a token, and consented again."""
    return Strewn().claim("c0", "code").store(1).deliver(1).calls(CONSENTED, ANEW)


@pytest.mark.parametrize(
    ("strewn", "cause"),
    [
        pytest.param(story().claim("r1", "one").calls(cut("r1", 100)), Cause.CUT, id="cut"),
        pytest.param(story().claim("r1", "one").calls(late("r1", 100)), Cause.LATE, id="late"),
        pytest.param(story().claim("r1", "one").calls(call("r1", 100)).mishaps(kill(100.1)), Cause.KILLED, id="killed"),
        pytest.param(
            story().claim("r1", "one").claim("r1", "two").calls(dropped("r1", 100), dropped("r1", 105)), Cause.SPENT, id="twice for nothing"
        ),
        pytest.param(story().claim("r1", "one").claim("r1", "two"), Cause.SPENT, id="twice, and no request arrived"),
        pytest.param(story().claim("r1", "one").calls(call("r1", 100)), None, id="no cause"),
        pytest.param(story().claim("r1", "one").calls(dropped("r1", 100)), None, id="once for nothing"),
        pytest.param(story().claim("r1", "one").calls(refused("r1", 100, was_spent=False)), None, id="refused though never used"),
        pytest.param(story(), None, id="never presented"),
    ],
)
def test_a_grant_that_was_lost(strewn: Strewn, cause: Cause | None) -> None:
    losses = find_losses(strewn.archive)
    assert (list(losses.causes), len(losses.breaches), losses.number) == ([] if cause is None else [cause], int(cause is None), 1)


def test_a_consent_that_brought_nothing_is_no_grant_that_was_lost() -> None:
    assert find_losses(Strewn().calls(CONSENTED, ANEW).archive).number == 0


def test_what_a_kill_loses_is_what_is_in_the_window_beside_a_refresh() -> None:
    pairs = [call(f"r{2 * n + m}", 100 + n + m / 100, ended_at=100 + n + m / 100 + 0.03) for n in range(50) for m in range(2)]
    assert count_beside(pairs, 0.005) == 0.5  # when the first has been read, the second is on its way; the first is stored before that has
    assert count_beside(pairs, 0.02) == 1
    losses = find_losses(Strewn().calls(*pairs).mishaps(*(kill(100 + n) for n in range(10)), kill(105, led=False)).archive)
    assert losses.window == pytest.approx(0.03 + SEALING)
    assert losses.expected == 10


def test_a_kill_in_the_window_loses_what_it_was_aimed_at() -> None:
    strewn = (
        Strewn()
        .calls(call("r1", 100))
        .mishaps(kill(100, led=False, step="refresh.sent:kill@3"), kill(101, led=False, step="commit.stored:kill"))
    )
    assert find_losses(strewn.archive).expected == 1


@pytest.mark.parametrize(("mean", "most"), [(0.0, 0), (0.01, 1), (1.0, 5), (10.0, 21), (100.0, 132), (400.0, 463), (900.0, 993)])
def test_how_many_are_too_many(mean: float, most: int) -> None:
    assert poisson_quantile(mean, 0.999) == most
