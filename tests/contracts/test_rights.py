"""The chart gives the rights of the table and no others, and its policies judge exactly its own accounts."""

from __future__ import annotations

from collections import defaultdict

import pytest

from contracts.chart import Manifest, of_kind, render
from contracts.rights import AT_HOME, EVERYWHERE, IN_A_LISTED_NAMESPACE, Rights, collect, together


@pytest.mark.parametrize("component", ["controller", "consent"])
@pytest.mark.parametrize(
    "values",
    [
        pytest.param((), id="default values"),
        pytest.param(("crds.enabled=false", "keyring.generate=false", "consent.replicas=3"), id="other values"),
    ],
)
def test_account_has_these_rights_and_no_others(component: str, values: tuple[str, ...]) -> None:
    given = _rights_of(component, render(*values))
    assert given == {"everywhere": EVERYWHERE[component], "grantkeeper": AT_HOME[component]}


@pytest.mark.parametrize(
    ("listed", "places"),
    [
        pytest.param("team-a,team-b", {"team-a", "team-b"}, id="two namespaces"),
        pytest.param("team-a,grantkeeper", {"team-a"}, id="the release's own too, where it has its rights already"),
    ],
)
def test_secrets_of_listed_namespaces_are_given_by_roles_there(listed: str, places: set[str]) -> None:
    given = _rights_of("controller", render(f"watch.namespaces={{{listed}}}"))
    everywhere = {resource: verbs for resource, verbs in EVERYWHERE["controller"].items() if resource != "secrets"}
    assert given == {"everywhere": everywhere, "grantkeeper": AT_HOME["controller"]} | dict.fromkeys(places, IN_A_LISTED_NAMESPACE)


def _rights_of(component: str, manifests: list[Manifest]) -> dict[str, Rights]:
    """The rights that the bindings of an account give, by the namespace where they hold, or `everywhere`."""
    roles = {(role["kind"], _place(role), role["metadata"]["name"]): role["rules"] for role in manifests if "rules" in role}
    given: dict[str, Rights] = defaultdict(dict)
    for binding in manifests:
        if {"kind": "ServiceAccount", "name": f"grantkeeper-{component}", "namespace": "grantkeeper"} in binding.get("subjects", ()):
            place = _place(binding)
            rules = roles[binding["roleRef"]["kind"], place, binding["roleRef"]["name"]]
            given[place] = together(given[place], collect(rules))
            assert not [rule for rule in rules if rule.keys() != {"apiGroups", "resources", "verbs"}]
    return given


def _place(manifest: Manifest) -> str:
    return str(manifest["metadata"].get("namespace", "everywhere"))


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
