"""What a process is told: the environment as a frozen value, or a sentence that names the variable and never its value."""

from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path

import pytest
from pydantic import ValidationError

from grantkeeper.errors import SettingsError
from grantkeeper.settings import ConsentSettings, ControllerSettings, LogLevel, Settings

CONTROLLER = {
    "NAMESPACE": "grantkeeper",
    "POD_NAME": "grantkeeper-controller-7d9f-x2x",
    "POD_UID": "6f1b2d0e-0000-4000-8000-000000000001",
    "EXTERNAL_URL": "https://consent.example.com",
}
CONSENT = {"NAMESPACE": "grantkeeper", "EXTERNAL_URL": "https://consent.example.com"}


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Start from nothing of ours."""
    for kind in (ControllerSettings, ConsentSettings):
        for name in kind.model_fields:
            monkeypatch.delenv(f"GRANTKEEPER_{name.upper()}", raising=False)
    return monkeypatch


def controller(environment: pytest.MonkeyPatch, **changed: str) -> ControllerSettings:
    for name, value in {**CONTROLLER, **changed}.items():
        environment.setenv(f"GRANTKEEPER_{name}", value)
    return ControllerSettings.from_environment()


def consent(environment: pytest.MonkeyPatch, **changed: str) -> ConsentSettings:
    for name, value in {**CONSENT, **changed}.items():
        environment.setenv(f"GRANTKEEPER_{name}", value)
    return ConsentSettings.from_environment()


def test_what_is_not_said_has_a_default_where_there_is_a_sensible_one(environment: pytest.MonkeyPatch) -> None:
    settings = controller(environment)
    assert (settings.keyring_secret, settings.keyring_generate, settings.provider_networks) == ("grantkeeper-keyring", False, ())
    assert settings.log_level is LogLevel.INFO
    assert settings.service_account_directory == Path("/var/run/secrets/kubernetes.io/serviceaccount")
    assert consent(environment).listen == "0.0.0.0:8080"


def test_everything_can_be_said(environment: pytest.MonkeyPatch) -> None:
    settings = controller(
        environment,
        KEYRING_SECRET="keys",
        KEYRING_GENERATE="true",
        PROVIDER_NETWORKS="10.0.0.0/8, fd00::/8,",
        WATCH_NAMESPACES="team-a, team-b,",
        LOG_LEVEL="debug",
        SERVICE_ACCOUNT_DIRECTORY="/mounted",
    )
    assert (settings.namespace, settings.pod_name, settings.pod_uid) == tuple(list(CONTROLLER.values())[:3])
    assert (settings.keyring_secret, settings.keyring_generate) == ("keys", True)
    assert settings.provider_networks == (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))
    assert settings.watch_namespaces == ("team-a", "team-b")
    assert (settings.log_level, settings.service_account_directory) == (LogLevel.DEBUG, Path("/mounted"))


def test_a_variable_that_is_set_to_nothing_is_not_set(environment: pytest.MonkeyPatch) -> None:
    assert controller(environment, PROVIDER_NETWORKS="", LOG_LEVEL="", KEYRING_GENERATE="").provider_networks == ()
    with pytest.raises(SettingsError, match="GRANTKEEPER_NAMESPACE is not set"):
        controller(environment, NAMESPACE="")


def test_what_kubernetes_says_of_services_of_that_name_does_no_harm(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("GRANTKEEPER_SERVICE_HOST", "10.0.0.1")
    environment.setenv("GRANTKEEPER_PORT", "tcp://10.0.0.1:8080")
    environment.setenv("GRANTKEEPER_CONSENT_PORT_8080_TCP_ADDR", "10.0.0.1")
    assert consent(environment).namespace == "grantkeeper"


def test_settings_never_change(environment: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValidationError, match="frozen"):
        controller(environment).namespace = "other"  # type: ignore[misc]


@pytest.mark.parametrize("name", list(CONTROLLER))
def test_what_must_be_chosen_is_asked_for_by_name_and_meaning(environment: pytest.MonkeyPatch, name: str) -> None:
    meaning = ControllerSettings.model_fields[name.lower()].description
    with pytest.raises(SettingsError) as refused:
        controller(environment, **{name: ""})
    assert str(refused.value) == f"GRANTKEEPER_{name} is not set: {meaning}."


def test_everything_that_is_missing_is_said_at_once() -> None:
    with pytest.raises(SettingsError) as refused:
        ControllerSettings.from_environment()
    assert [name for name in CONTROLLER if f"GRANTKEEPER_{name} is not set: " in str(refused.value)] == list(CONTROLLER)


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        ("https://consent.example.com", "https://consent.example.com"),
        ("https://consent.example.com/", "https://consent.example.com"),
        ("https://example.com:8443/grantkeeper/", "https://example.com:8443/grantkeeper"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("http://127.9.9.9", "http://127.9.9.9"),
        ("http://localhost:8080", "http://localhost:8080"),
        ("http://[::1]:8080", "http://[::1]:8080"),
    ],
)
def test_an_external_url_is_https_or_of_this_machine(environment: pytest.MonkeyPatch, url: str, kept: str) -> None:
    assert consent(environment, EXTERNAL_URL=url).external_url == kept


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        pytest.param("EXTERNAL_URL", "http://canary.example", "must begin with https://", id="http to elsewhere"),
        pytest.param("EXTERNAL_URL", "http://127.0.0.1.canary.example", "must begin with https://", id="a name that looks like loopback"),
        pytest.param("EXTERNAL_URL", "http://localhost.canary", "must begin with https://", id="another name that does"),
        pytest.param("EXTERNAL_URL", "ftp://canary.example", "must begin with https://", id="another scheme"),
        pytest.param("EXTERNAL_URL", "canary.example", "must be an absolute URL", id="no scheme"),
        pytest.param("EXTERNAL_URL", "https://", "must be an absolute URL", id="no host"),
        pytest.param("EXTERNAL_URL", "https://me:canary@consent.example", "must be an absolute URL", id="a password"),
        pytest.param("EXTERNAL_URL", "https://consent.example/?canary", "must be an absolute URL", id="a query"),
        pytest.param("EXTERNAL_URL", "https://consent.example/#canary", "must be an absolute URL", id="a fragment"),
        pytest.param("EXTERNAL_URL", "https://consent.example:canary", "must be an absolute URL", id="a port that is none"),
        pytest.param("EXTERNAL_URL", "https://[canary", "must be an absolute URL", id="brackets"),
        pytest.param("EXTERNAL_URL", "https://consent.example/\ncanary", "must be an absolute URL", id="a line break"),
        pytest.param("EXTERNAL_URL", "https://a\\canary", "must be an absolute URL", id="a backslash"),
        pytest.param("NAMESPACE", "Canary/x", "must be the name of a Kubernetes object", id="a namespace that cannot be"),
        pytest.param("POD_UID", "canary" * 50, "is too long", id="a uid without end"),
        pytest.param("KEYRING_SECRET", "../canary", "must be the name of a Kubernetes object", id="a Secret that cannot be"),
        pytest.param("KEYRING_GENERATE", "canary", "must be true or false", id="neither true nor false"),
        pytest.param("PROVIDER_NETWORKS", "10.0.0.0/8,canary", "must be networks such as 10.0.0.0/8", id="no network"),
        pytest.param("PROVIDER_NETWORKS", "10.0.0.1/8", "must be networks such as 10.0.0.0/8", id="a host with a mask"),
        pytest.param("WATCH_NAMESPACES", "team-a,team.canary", "must be names of namespaces", id="no namespace"),
        pytest.param("LOG_LEVEL", "canary", "is none of its values", id="no level"),
    ],
)
def test_what_will_not_do_is_a_sentence_without_the_value(environment: pytest.MonkeyPatch, name: str, value: str, sentence: str) -> None:
    with pytest.raises(SettingsError) as refused:
        controller(environment, **{name: value})
    text = str(refused.value)
    assert text.startswith(f"GRANTKEEPER_{name} {sentence}")
    assert text.endswith(".")
    assert "canary" not in text.lower()
    assert refused.value.__cause__ is None


@pytest.mark.parametrize("listen", ["0.0.0.0:8080", "[::]:8080", "localhost:80", "127.0.0.1:0"])
def test_where_to_listen(environment: pytest.MonkeyPatch, listen: str) -> None:
    assert consent(environment, LISTEN=listen).listen == listen


@pytest.mark.parametrize("listen", ["8080", ":8080", "::1:8080", "localhost", "localhost:http", "localhost:8080/x"])
def test_where_not_to_listen(environment: pytest.MonkeyPatch, listen: str) -> None:
    with pytest.raises(SettingsError, match=r"GRANTKEEPER_LISTEN must be a host and a port, host:port: the address"):
        consent(environment, LISTEN=listen)


@pytest.mark.parametrize("model", [ControllerSettings, ConsentSettings])
def test_every_field_is_described(model: type[Settings]) -> None:
    for name, field in model.model_fields.items():
        assert field.description, name
        assert not field.description.endswith("."), name
