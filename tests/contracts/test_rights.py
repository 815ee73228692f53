"""The chart gives the rights of the table and no others, and its policies judge exactly its own accounts."""

from __future__ import annotations

from collections import defaultdict

import pytest

from contracts.chart import of_kind, render
from contracts.rights import AT_HOME, EVERYWHERE, Rights, collect, together


@pytest.mark.parametrize("component", ["controller", "consent"])
@pytest.mark.parametrize(
    "values",
    [
        pytest.param((), id="default values"),
        pytest.param(("crds.enabled=false", "keyring.generate=false", "consent.replicas=3"), id="other values"),
    ],
)
def test_account_has_these_rights_and_no_others(component: str, values: tuple[str, ...]) -> None:
    manifests = render(*values)
    given: dict[str, Rights] = defaultdict(dict)
    for binding in manifests:
        if {"kind": "ServiceAccount", "name": f"grantkeeper-{component}", "namespace": "grantkeeper"} in binding.get("subjects", ()):
            role = of_kind(binding["roleRef"]["kind"], manifests)[binding["roleRef"]["name"]]
            place = binding["metadata"].get("namespace", "everywhere")
            given[place] = together(given[place], collect(role["rules"]))
            assert not [rule for rule in role["rules"] if rule.keys() != {"apiGroups", "resources", "verbs"}]
    assert given == {"everywhere": EVERYWHERE[component], "grantkeeper": AT_HOME[component]}


def test_every_role_belongs_to_one_account_of_the_release() -> None:
    manifests = render()
    bindings = [manifest for manifest in manifests if "roleRef" in manifest]
    roles = [(manifest["kind"], manifest["metadata"]["name"]) for manifest in manifests if "rules" in manifest]
    assert sorted((binding["roleRef"]["kind"], binding["roleRef"]["name"]) for binding in bindings) == sorted(roles)
    assert {subject["name"] for binding in bindings for subject in binding["subjects"]} == of_kind("ServiceAccount", manifests).keys()
    assert {len(binding["subjects"]) for binding in bindings} == {1}


def test_policies_judge_exactly_the_accounts_of_the_release_and_one_judges_everybody() -> None:
    manifests = render(release="main-grantkeeper", namespace="keeping")
    policies = of_kind("ValidatingAdmissionPolicy", manifests)
    accounts = of_kind("ServiceAccount", manifests)
    everybodys = policies.pop("main-grantkeeper-connect")
    assert "username" not in everybodys["spec"]["matchConditions"][0]["expression"]
    judged = {policy["spec"]["matchConditions"][0]["expression"] for policy in policies.values()}
    assert judged == {f"request.userInfo.username == 'system:serviceaccount:keeping:{name}'" for name in accounts}
    assert {policy["spec"]["failurePolicy"] for policy in (everybodys, *policies.values())} == {"Fail"}


def test_each_policy_is_in_force_everywhere() -> None:
    manifests = render()
    bindings = [binding["spec"] for binding in of_kind("ValidatingAdmissionPolicyBinding", manifests).values()]
    policies = of_kind("ValidatingAdmissionPolicy", manifests)
    assert bindings == [{"policyName": name, "validationActions": ["Deny"]} for name in policies]
