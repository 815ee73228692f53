"""Judge a report: whether the consumer saw a token and then a refreshed one, and nothing was presented twice.

The consumer's sightings are held against what the authorization server wrote down about itself.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta

from pydantic import ValidationError

from demo.report import Entry, Report, Sight

AT_ONCE = timedelta(seconds=15)
"""Between finding a token and asking about it."""
ROUNDING = timedelta(seconds=2)
"""Servers give whole seconds, and clocks are read before and after the answer travels."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at; the sentence says what holds, or what does not."""

    holds: bool
    sentence: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was found; `good` when all of it holds."""

    findings: tuple[Finding, ...]

    @property
    def good(self) -> bool:
        """Whether the run showed what the demo promises."""
        return all(finding.holds for finding in self.findings)


def judge(document: object) -> Verdict:
    """Judge a report as it was read from its JSON."""
    secrecy = _no_token_in_clear(document)
    try:
        report = Report.model_validate(document)
    except ValidationError as error:
        places = sorted({".".join(str(part) for part in problem["loc"]) for problem in error.errors(include_input=False)})
        return Verdict((secrecy, Finding(holds=False, sentence=f"This is not a report of the demo; look at {', '.join(places)}.")))
    return Verdict((secrecy, *(check(report) for check in CHECKS)))


def _no_token_in_clear(document: object) -> Finding:
    text = json.dumps(document)
    fingerprints = set(re.findall(r"\b[0-9a-f]{64}\b", text))
    found = any(hashlib.sha256(spelling).hexdigest() in fingerprints for spelling in _spellings(text))
    return _finding("The report holds fingerprints, and no token.", ["A token or code stands in the report in clear."] if found else [])


def _spellings(text: str) -> Iterator[bytes]:
    """Every word of the text, with and without the signs that tokens may contain, and what it is when it is base64."""
    for word in {*re.findall(r"[\w-]+", text), *re.findall(r"[\w.~+/=-]+", text)}:
        yield word.encode()
        with suppress(binascii.Error):
            yield base64.urlsafe_b64decode(word + "=" * (-len(word) % 4))


def _two_tokens_seen(report: Report) -> Finding:
    seen = len({sight.token for sight in report.seen})
    problems = [] if seen >= 2 else ["The consumer did not see a first and then another token."]
    return _finding(f"The consumer saw {seen} different tokens.", problems)


def _first_by_code(report: Report) -> Finding:
    exchanged = _issued_by(report, "authorization_code")
    problems = [f"The first token, {_short(it)}, was not issued for a code." for it in report.seen[:1] if it.token not in exchanged]
    return _finding("The first was issued for the code of the consent.", problems)


def _others_by_refresh(report: Report) -> Finding:
    refreshed = _issued_by(report, "refresh_token")
    problems = [f"The later token {_short(it)} was not issued by a refresh." for it in report.seen[1:] if it.token not in refreshed]
    return _finding("Each one after it was issued by a refresh.", problems)


def _presented_once(report: Report) -> Finding:
    issued: set[str] = set()
    presented: Counter[str] = Counter()
    problems = []
    for entry in _token_requests(report):
        if entry.grant_type == "refresh_token" and entry.presented:
            presented[entry.presented] += 1
            if entry.presented not in issued:
                problems.append(f"The refresh token {entry.presented[:12]} was presented, and the ledger does not show it issued before.")
        if entry.refresh_token:
            issued.add(entry.refresh_token)
    problems += [f"The refresh token {token[:12]} was presented {times} times." for token, times in presented.items() if times > 1]
    return _finding(f"Every refresh token that was presented ({len(presented)}) was presented once.", problems)


def _active_when_seen(report: Report) -> Finding:
    asked = {entry.presented for entry in report.ledger if entry.endpoint == "introspection" and entry.status == 200}
    problems = []
    for sight in report.seen:
        answers = [said for said in report.introspected if said.token == sight.token and abs(said.time - sight.time) <= AT_ONCE]
        if sight.token not in asked or not answers:
            problems.append(f"The server was not asked about the token {_short(sight)} when it was seen.")
        elif not all(said.active for said in answers):
            problems.append(f"The server said that the token {_short(sight)} is not active.")
        elif not any(said.expires_at and abs(said.expires_at - sight.expires_at) <= ROUNDING for said in answers):
            problems.append(f"The server gives the token {_short(sight)} another expiry than the consumer read.")
    return _finding("The server called each of them active when it was seen, with the same expiry.", problems)


CHECKS = (_two_tokens_seen, _first_by_code, _others_by_refresh, _presented_once, _active_when_seen)


def _token_requests(report: Report) -> list[Entry]:
    ours = [entry for entry in report.ledger if entry.endpoint == "token" and entry.client_id == report.client_id]
    return sorted(ours, key=lambda entry: entry.time)


def _issued_by(report: Report, grant_type: str) -> set[str | None]:
    return {entry.access_token for entry in _token_requests(report) if entry.grant_type == grant_type and entry.status == 200} - {None}


def _short(sight: Sight) -> str:
    return sight.token[:12]


def _finding(holds: str, problems: list[str]) -> Finding:
    return Finding(holds=not problems, sentence=" ".join(problems) or holds)
