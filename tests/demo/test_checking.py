"""What a report must show, and every way in which it may fall short."""

from __future__ import annotations

import base64
import copy
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from demo import check
from demo.checking import judge
from demo.report import entries_of
from demo.settings import ROOT

Document = dict[str, Any]

TOKEN = "first-access-token-in-clear"


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


FIRST, SECOND = _sha256(TOKEN), _sha256("second access token")
CODE = _sha256("code")
REFRESH = [_sha256(f"refresh token {number}") for number in range(3)]


def _at(seconds: int) -> str:
    return f"2026-11-21T08:{seconds // 60:02}:{seconds % 60:02}Z"


def _entry(seconds: int, grant_type: str, presented: str, access_token: str, refresh_token: str) -> Document:
    answered = {"access_token": access_token, "refresh_token": refresh_token, "status": 200, "error": None, "delivered": True}
    asked = {"endpoint": "token", "grant_type": grant_type, "client_id": "calendar-app", "presented": presented}
    return {"time": _at(seconds), **asked, **answered}


def _asked(seconds: int, token: str) -> Document:
    empty = {"grant_type": None, "error": None, "access_token": None, "refresh_token": None}
    asked = {"endpoint": "introspection", "client_id": "inspector", "presented": token, "status": 200, "delivered": True}
    return {"time": _at(seconds), **asked, **empty}


GOOD: Document = {
    "client_id": "calendar-app",
    "seen": [
        {"time": _at(2), "token": FIRST, "expires_at": _at(61)},
        {"time": _at(47), "token": SECOND, "expires_at": _at(106)},
    ],
    "introspected": [
        {"time": _at(2), "token": FIRST, "active": True, "expires_at": _at(60)},
        {"time": _at(47), "token": SECOND, "active": True, "expires_at": _at(106)},
    ],
    "ledger": [
        _entry(1, "authorization_code", CODE, FIRST, REFRESH[0]),
        _asked(2, FIRST),
        _entry(46, "refresh_token", REFRESH[0], SECOND, REFRESH[1]),
        _asked(47, SECOND),
    ],
}


def see_one_only(report: Document) -> None:
    del report["seen"][1]


def see_the_same_twice(report: Document) -> None:
    report["seen"][1] = report["seen"][0]


def see_none(report: Document) -> None:
    report["seen"].clear()


def begin_with_a_refresh(report: Document) -> None:
    report["ledger"][0]["grant_type"] = "refresh_token"


def invent_the_second_token(report: Document) -> None:
    report["ledger"][2]["access_token"] = _sha256("another token")


def refuse_the_refresh(report: Document) -> None:
    report["ledger"][2].update(status=400, error="invalid_grant")


def issue_it_to_another_client(report: Document) -> None:
    report["ledger"][2]["client_id"] = "another-app"


def present_twice(report: Document) -> None:
    report["ledger"].append(_entry(48, "refresh_token", REFRESH[0], _sha256("third access token"), REFRESH[2]))


def present_what_was_never_issued(report: Document) -> None:
    report["ledger"][2]["presented"] = _sha256("a refresh token from elsewhere")


def present_before_it_was_issued(report: Document) -> None:
    report["ledger"][2]["time"] = _at(0)


def find_it_inactive(report: Document) -> None:
    report["introspected"][1]["active"] = False


def ask_too_late(report: Document) -> None:
    report["introspected"][0]["time"] = _at(30)


def ask_in_the_report_only(report: Document) -> None:
    del report["ledger"][1]


def read_another_expiry(report: Document) -> None:
    report["seen"][0]["expires_at"] = _at(120)


def add_the_token(report: Document) -> None:
    report["seen"][0]["value"] = TOKEN


def add_a_header(report: Document) -> None:
    report["comment"] = f"Authorization: Bearer {TOKEN}"


def add_it_encoded(report: Document) -> None:
    report["ledger"][0]["error"] = base64.b64encode(TOKEN.encode()).decode()


def add_a_field(report: Document) -> None:
    report["ledger"][0]["body"] = "grant_type=authorization_code"


def leave_out_the_ledger(report: Document) -> None:
    del report["ledger"]


def test_the_readme_shows_what_a_good_report_says() -> None:
    _, _, shown = (ROOT / "README.md").read_text().partition("What the report proves\n")
    assert shown.partition("```")[0].splitlines() == [f"✓ {finding.sentence}" for finding in judge(GOOD).findings]


def test_clients_that_people_try_are_not_in_the_report() -> None:
    theirs = {**GOOD["ledger"][0], "client_id": "KBEP3ecDNWAH4-X8_FU74VZr124arakSBQgGe0O_0qZ"}
    entries = entries_of([*GOOD["ledger"], theirs], "calendar-app", "inspector")
    assert [entry.client_id for entry in entries] == ["calendar-app", "inspector", "calendar-app", "inspector"]


def test_a_good_report_is_good() -> None:
    verdict = judge(GOOD)
    assert verdict.good, verdict
    assert [finding.sentence for finding in verdict.findings] == [
        "The report holds fingerprints, and no token.",
        "The consumer saw 2 different tokens.",
        "The first was issued for the code of the consent.",
        "Each one after it was issued by a refresh.",
        "Every refresh token that was presented (1) was presented once.",
        "The server called each of them active when it was seen, with the same expiry.",
    ]


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        pytest.param(see_none, "did not see a first and then another", id="no token was seen"),
        pytest.param(see_one_only, "did not see a first and then another", id="one token only"),
        pytest.param(see_the_same_twice, "did not see a first and then another", id="the same token twice"),
        pytest.param(begin_with_a_refresh, f"The first token, {FIRST[:12]}, was not issued for a code", id="the first came by a refresh"),
        pytest.param(invent_the_second_token, f"{SECOND[:12]} was not issued by a refresh", id="refreshed token not in the ledger"),
        pytest.param(refuse_the_refresh, f"{SECOND[:12]} was not issued by a refresh", id="the refresh was refused"),
        pytest.param(issue_it_to_another_client, f"{SECOND[:12]} was not issued by a refresh", id="refreshed by another client"),
        pytest.param(present_twice, f"{REFRESH[0][:12]} was presented 2 times", id="a refresh token presented twice"),
        pytest.param(present_what_was_never_issued, "does not show it issued before", id="a refresh token from elsewhere"),
        pytest.param(present_before_it_was_issued, "does not show it issued before", id="presented before it was issued"),
        pytest.param(find_it_inactive, f"{SECOND[:12]} is not active", id="inactive introspection"),
        pytest.param(ask_too_late, f"not asked about the token {FIRST[:12]}", id="introspected half a minute later"),
        pytest.param(ask_in_the_report_only, f"not asked about the token {FIRST[:12]}", id="the ledger knows of no introspection"),
        pytest.param(read_another_expiry, f"the token {FIRST[:12]} another expiry", id="the consumer read another expiry"),
        pytest.param(add_the_token, "in clear", id="a token in clear"),
        pytest.param(add_a_header, "in clear", id="a token in clear within a text"),
        pytest.param(add_it_encoded, "in clear", id="a token in base64"),
        pytest.param(add_a_field, "not a report of the demo; look at ledger.0.body", id="a field that is none of its own"),
        pytest.param(leave_out_the_ledger, "not a report of the demo; look at ledger", id="no ledger"),
    ],
)
def test_a_spoilt_report_is_not(spoil: Callable[[Document], None], complaint: str) -> None:
    report = copy.deepcopy(GOOD)
    spoil(report)
    verdict = judge(report)
    assert not verdict.good
    assert complaint in " ".join(finding.sentence for finding in verdict.findings if not finding.holds)


@pytest.mark.parametrize("document", [pytest.param([], id="a list"), pytest.param("report", id="a text"), pytest.param(None, id="null")])
def test_other_json_is_no_report(document: object) -> None:
    assert not judge(document).good


def test_the_sentences_do_not_repeat_what_they_complain_of() -> None:
    report = copy.deepcopy(GOOD)
    add_it_encoded(report)
    add_the_token(report)
    assert TOKEN not in str(judge(report))


@pytest.mark.parametrize(
    ("text", "status"),
    [
        pytest.param(json.dumps(GOOD), 0, id="good"),
        pytest.param(json.dumps({**GOOD, "seen": []}), 1, id="not good"),
        pytest.param("<html>", 2, id="not JSON"),
        pytest.param(None, 2, id="not there"),
    ],
)
def test_the_exit_status_is_the_verdict(tmp_path: Path, text: str | None, status: int) -> None:
    path = tmp_path / "report.json"
    if text is not None:
        path.write_text(text)
    assert check.main([str(path)]) == status
