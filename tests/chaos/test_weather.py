from __future__ import annotations

from collections import Counter

import pytest

from chaos.weather import PATIENCE, Deed, Odds, Weather


def test_without_odds_nothing_happens() -> None:
    weather = Weather()
    assert {weather.draw().deed for _ in range(100)} == {Deed.NOTHING}


def test_one_seed_is_one_weather() -> None:
    one, same, other = (Weather(Odds(drop=0.1, cut=0.1, delay=0.1, late=0.1), seed) for seed in ("a", "a", "b"))
    drawn = [[weather.draw() for _ in range(50)] for weather in (one, same, other)]
    assert drawn[0] == drawn[1] != drawn[2]


def test_things_happen_as_often_as_was_said() -> None:
    weather = Weather(Odds(drop=0.1, cut=0.2, delay=0.1, late=0.05), "seed")
    drawn = [weather.draw() for _ in range(20_000)]
    deeds = Counter(befallen.deed for befallen in drawn)
    shares = {deed: deeds[deed] / len(drawn) for deed in (Deed.DROP, Deed.CUT, Deed.TEAR, Deed.DELAY)}
    assert shares == pytest.approx({Deed.DROP: 0.1, Deed.CUT: 0.1, Deed.TEAR: 0.1, Deed.DELAY: 0.15}, abs=0.01)
    assert sum(befallen.seconds > PATIENCE for befallen in drawn) / len(drawn) == pytest.approx(0.05, abs=0.01)
