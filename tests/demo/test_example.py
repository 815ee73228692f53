"""The example as the demo applies it: its own files, but for the stated fields."""

from __future__ import annotations

import yaml

from demo import example
from demo.workload import Mount, mount_of

REPLACED = example.substitutions(issuer="https://127.0.0.1:9443", ca_bundle="Q0E=", client_secret="made up")


def test_exactly_the_stated_fields_differ() -> None:
    original = list(yaml.safe_load_all((example.DIRECTORY / example.CONNECTOR).read_text()))
    namespace, secret, connector = example.read(example.CONNECTOR, REPLACED)
    assert namespace == original[0]
    assert secret == {**original[1], "stringData": {"clientSecret": "made up"}}
    assert connector == {**original[2], "spec": {**original[2]["spec"], "issuer": "https://127.0.0.1:9443", "caBundle": "Q0E="}}


def test_what_is_shown_of_a_substitution_is_no_secret() -> None:
    assert "made up" not in {one.shown for one in REPLACED}


def test_the_example_delivers_to_the_secret_that_its_pod_mounts() -> None:
    [grant] = example.read(example.GRANT)
    [pod] = example.read(example.CONSUMER)
    assert mount_of(pod) == Mount(pod="dashboard", secret=grant["spec"]["secrets"][0]["name"], path="/var/run/token")
