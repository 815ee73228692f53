"""Who led when, by the replicas' own words in their logs: shown beside the judgement, which rests on what they did.

A word may come late on a crowded machine; that nothing is begun by who does not lead is judged by claims and presentations.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

import orjson

from chaos.evidence import Kind, Mishap

LEADS = "leading"
LEADS_NO_MORE = frozenset({"the lease is lost: nothing new is begun", "the lease is given back"})
GIVE_UP_AFTER = 10.0
"""Seconds after which who stood still does not lead any more, as it finds when it wakes."""


class Word(NamedTuple):
    """Somebody said that it leads, or that it does not any more."""

    time: float
    pod: str
    leads: bool


class Term(NamedTuple):
    """A time in which somebody led."""

    pod: str
    began_at: float
    ended_at: float


def read_words(logs: Iterable[Path]) -> list[Word]:
    """What is said in the logs of all lives of all Pods."""
    words = []
    for log in logs:
        pod = ""
        for line in log.read_bytes().splitlines():
            if not line.startswith(b"{") or not line.endswith(b"}"):
                continue  # cut off by a kill
            said = orjson.loads(line)
            if (event := said.get("event")) == LEADS:
                pod = said["replica"].split("/")[1]
            if event == LEADS or event in LEADS_NO_MORE:
                words.append(Word(datetime.fromisoformat(said["time"]).timestamp(), pod, event == LEADS))
    return sorted(words)


def find_terms(words: Sequence[Word], mishaps: Sequence[Mishap]) -> list[Term]:
    """Each ends with a word, the next life's beginning, a death, or a standstill that was longer than a leader may be silent."""
    ends = [(word.time, word.pod) for word in words]
    ends += [(mishap.began_at, mishap.pod) for mishap in mishaps if _ends_a_term(mishap)]
    return [
        Term(word.pod, word.time, min((at for at, pod in ends if pod == word.pod and at > word.time), default=float("inf")))
        for word in words
        if word.leads
    ]


def count_overlaps(terms: Sequence[Term]) -> int:
    """How often two led at once."""
    return sum(one.began_at < other.ended_at and other.began_at < one.ended_at for one, other in combinations(terms, 2))


def _ends_a_term(mishap: Mishap) -> bool:
    return mishap.kind is Kind.KILL or (mishap.kind is Kind.STOP and mishap.ended_at - mishap.began_at > GIVE_UP_AFTER)
