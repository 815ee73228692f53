"""kube-apiserver is killed in the middle of a refresh and started again; `python -m chaos.outage` does it, and worse, for ten minutes."""

from __future__ import annotations

from pathlib import Path

from chaos.outage import Manner, opened


def test_an_api_server_that_is_killed_in_the_middle_of_a_refresh_costs_nothing(tmp_path: Path) -> None:
    with opened(tmp_path, Manner.KILLED) as house:
        house.settle(grants=3, lifetime=20)
        sequel = house.play(Manner.KILLED, seconds=15)
    assert sequel.faults == ()
    assert sequel.in_flight > 0
