from __future__ import annotations

from pathlib import Path

import pytest

from chaos.evidence import Mishap
from chaos.strewn import A, B, kill, stop
from chaos.words import Word, count_overlaps, find_terms, read_words


def leads(at: float, pod: str = A) -> Word:
    return Word(at, pod, leads=True)


def ends(at: float, pod: str = A) -> Word:
    return Word(at, pod, leads=False)


@pytest.mark.parametrize(
    ("words", "mishaps", "overlaps"),
    [
        pytest.param([leads(0), ends(10), leads(15, B)], [], 0, id="one gave it up before the other took it"),
        pytest.param([leads(0), leads(15, B)], [], 1, id="one never gave it up"),
        pytest.param([leads(0), leads(15, B)], [kill(5)], 0, id="one was killed"),
        pytest.param([leads(0), leads(15, B)], [kill(5, B)], 1, id="it was the other that was killed"),
        pytest.param([leads(0), leads(15, B), ends(21)], [stop(0.5, 20)], 0, id="one stood still for long"),
        pytest.param([leads(0), leads(15, B), ends(21)], [stop(2, 3)], 1, id="one stood still for a moment"),
        pytest.param([leads(0), leads(5), ends(10), leads(15, B)], [], 0, id="its next life ended it"),
    ],
)
def test_who_led_at_once(words: list[Word], mishaps: list[Mishap], overlaps: int) -> None:
    assert count_overlaps(find_terms(words, mishaps)) == overlaps


def test_what_is_said_in_a_log(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.write_text(
        '{"event": "standing by", "time": "2026-01-01T00:00:00Z"}\n'
        '{"event": "leading", "replica": "a-pod/uid-1/boot", "time": "2026-01-01T00:00:01Z"}\n'
        '{"event": "the lease is lo\n'
        '{"event": "the lease is given back", "time": "2026-01-01T00:00:03Z"}\n'
    )
    begun, ended = read_words([log])
    assert (begun.pod, begun.leads, ended.pod, ended.leads, ended.time - begun.time) == ("uid-1", True, "uid-1", False, 2.0)
