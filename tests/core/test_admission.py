"""Whom a connector admits: labels are selected as everywhere in Kubernetes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from grantkeeper.core.admission import Admission, judge_admission, selects
from grantkeeper.resources import AllowedNamespaces, LabelSelector

REPORTS = {"matchLabels": {"team": "reports"}}


def requirement(operator: str, *values: str, key: str = "team") -> dict[str, Any]:
    return {"matchExpressions": [{"key": key, "operator": operator, "values": list(values)}]}


@pytest.mark.parametrize(
    ("allowed", "asking", "labels", "admission"),
    [
        pytest.param({"from": "Same"}, "platform", {}, Admission.ADMITTED, id="its own namespace"),
        pytest.param({"from": "Same"}, "team-a", {}, Admission.REFUSED, id="another one, by default"),
        pytest.param({"from": "All"}, "team-a", {}, Admission.ADMITTED, id="all"),
        pytest.param({"from": "All"}, "team-a", None, Admission.ADMITTED, id="all, whatever the labels are"),
        pytest.param({"from": "Same"}, "team-a", None, Admission.REFUSED, id="none, whatever the labels are"),
        pytest.param({"from": "Selector", "selector": REPORTS}, "team-a", {"team": "reports"}, Admission.ADMITTED, id="its labels fit"),
        pytest.param({"from": "Selector", "selector": REPORTS}, "team-a", {"team": "sales"}, Admission.REFUSED, id="its labels do not fit"),
        pytest.param({"from": "Selector", "selector": REPORTS}, "team-a", None, Admission.UNKNOWN, id="its labels are not known yet"),
        pytest.param({"from": "Selector", "selector": REPORTS}, "platform", {}, Admission.ADMITTED, id="its own, with a selector"),
        pytest.param({"from": "Selector", "selector": {}}, "team-a", {}, Admission.ADMITTED, id="a selector that is empty"),
        pytest.param({"from": "Selector"}, "team-a", {}, Admission.REFUSED, id="a selector that is not there"),
    ],
)
def test_admission(allowed: dict[str, Any], asking: str, labels: Mapping[str, str] | None, admission: Admission) -> None:
    assert judge_admission(AllowedNamespaces.model_validate(allowed), home="platform", asking=asking, labels=labels) is admission


@pytest.mark.parametrize(
    ("selector", "labels", "fits"),
    [
        pytest.param({}, {}, True, id="empty"),
        pytest.param(REPORTS, {"team": "reports", "a": "b"}, True, id="a label and more"),
        pytest.param(REPORTS, {}, False, id="no label"),
        pytest.param({"matchLabels": {"team": "reports", "a": "b"}}, {"team": "reports"}, False, id="one label of two"),
        pytest.param({"matchLabels": {"team": ""}}, {"team": ""}, True, id="an empty value"),
        pytest.param({"matchLabels": {"team": ""}}, {}, False, id="an empty value is not no label"),
        pytest.param(requirement("In", "reports", "sales"), {"team": "sales"}, True, id="in"),
        pytest.param(requirement("In", "reports"), {"team": "sales"}, False, id="in: another value"),
        pytest.param(requirement("In", "reports"), {}, False, id="in: no label"),
        pytest.param(requirement("NotIn", "reports"), {"team": "sales"}, True, id="not in"),
        pytest.param(requirement("NotIn", "reports", "sales"), {"team": "sales"}, False, id="not in: it is"),
        pytest.param(requirement("NotIn", "reports"), {}, True, id="not in: no label fits too"),
        pytest.param(requirement("Exists"), {"team": ""}, True, id="exists"),
        pytest.param(requirement("Exists"), {"teams": "reports"}, False, id="exists: another key"),
        pytest.param(requirement("DoesNotExist"), {}, True, id="does not exist"),
        pytest.param(requirement("DoesNotExist"), {"team": ""}, False, id="does not exist: it does"),
        pytest.param(REPORTS | requirement("Exists", key="a"), {"team": "reports", "a": ""}, True, id="both parts"),
        pytest.param(REPORTS | requirement("Exists", key="a"), {"team": "reports"}, False, id="the second part only is missed"),
        pytest.param(REPORTS | requirement("Exists", key="a"), {"a": ""}, False, id="the first part only is missed"),
    ],
)
def test_selects(selector: dict[str, Any], labels: Mapping[str, str], fits: bool) -> None:
    assert selects(LabelSelector.model_validate(selector), labels) is fits
