"""The commands of the image, as a shell sees them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.metadata import version

import pytest

from grantkeeper import __main__
from grantkeeper.errors import GrantkeeperError, KeyringError, SettingsError, Unreachable


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run Python in an environment that says nothing of ours but this."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("GRANTKEEPER_", "KUBE"))}
    return subprocess.run(
        [sys.executable, *arguments],
        env={**clean, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def grantkeeper(*arguments: str) -> subprocess.CompletedProcess[str]:
    return run("-m", "grantkeeper", *arguments)


def test_version() -> None:
    done = grantkeeper("version")
    assert (done.returncode, done.stdout) == (0, f"{version('grantkeeper')}\n")


@pytest.mark.parametrize("command", ["controller", "consent", "all-in-one"])
def test_a_process_that_was_told_nothing_says_what_it_needs_and_ends(command: str) -> None:
    done = grantkeeper(command)
    assert done.returncode == 2
    assert done.stderr.startswith("grantkeeper: GRANTKEEPER_NAMESPACE is not set: ")
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


TOLD = {
    "NAMESPACE": "grantkeeper",
    "EXTERNAL_URL": "http://127.0.0.1:8080",
    "POD_NAME": "p",
    "POD_UID": "u",
    "LISTEN": "127.0.0.1:0",
    "METRICS_LISTEN": "127.0.0.1:0",
}

LOOK = """
import sys
from grantkeeper.__main__ import main
command, *foreign = sys.argv[1:]
sys.argv = ["grantkeeper", command]
try:
    main()
finally:
    print(*sorted(name for name in foreign if name in sys.modules))
"""


@pytest.mark.parametrize(
    ("command", "foreign"),
    [
        pytest.param("consent", ("kopf", "httpx", "cryptography", "grantkeeper.controller"), id="consent"),
        pytest.param("controller", ("jinja2", "grantkeeper.consent"), id="controller"),
    ],
)
def test_a_process_that_finds_no_api_server_says_so_and_ends_having_imported_only_what_is_its_own(
    command: str, foreign: tuple[str, ...]
) -> None:
    told = {f"GRANTKEEPER_{name}": value for name, value in TOLD.items()}
    done = run("-c", LOOK, command, *foreign, KUBECONFIG="/nowhere", **told)
    assert done.returncode == 2
    assert "no current context is in /nowhere" in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == "\n"


@pytest.mark.parametrize(
    "stated",
    [
        pytest.param("refresh.send:kill", id="a name that there is not"),
        pytest.param("refresh.sent:end", id="an act that there is not"),
        pytest.param("refresh.sent", id="no act"),
        pytest.param("refresh.sent:kill@once", id="a number that is none"),
        pytest.param("refresh.sent:kill@0", id="before the first time"),
    ],
)
def test_a_failpoint_that_is_misspelt_is_refused_in_a_sentence(stated: str) -> None:
    told = {f"GRANTKEEPER_{name}": value for name, value in TOLD.items()}
    done = run("-m", "grantkeeper", "controller", KUBECONFIG="/nowhere", GRANTKEEPER_FAILPOINT=stated, **told)
    assert done.returncode == 2
    assert done.stderr.startswith("grantkeeper: GRANTKEEPER_FAILPOINT must be <name>:kill, :stop or :raise, ")
    assert "refresh.sent, " in done.stderr, "it does not say which names there are"
    assert "Traceback" not in done.stderr


def test_what_a_process_logs_goes_to_standard_output() -> None:
    done = run("-c", 'import structlog; from grantkeeper import logs; logs.configure("INFO"); structlog.get_logger("x").info("here")')
    assert json.loads(done.stdout)["event"] == "here"
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("error", "status"),
    [
        pytest.param(SettingsError("Set it."), 2, id="settings: starting again does not help"),
        pytest.param(KeyringError("Set it."), 2, id="the keyring: nor does it here"),
        pytest.param(Unreachable("Set it."), 1, id="the API server: it may, so Kubernetes starts it again"),
    ],
)
def test_what_ends_a_process_is_one_sentence(
    error: GrantkeeperError, status: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def command() -> None:
        raise error

    monkeypatch.setattr(__main__, "app", command)
    with pytest.raises(SystemExit) as ended:
        __main__.main()
    assert ended.value.code == status
    assert capsys.readouterr().err == "grantkeeper: Set it.\n"
