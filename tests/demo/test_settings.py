"""What the demo can be told, and the sentence for everything else."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from demo import settings
from parts import PartFailed


def test_nothing_set_means_a_person_and_a_minute() -> None:
    assert settings.read({"AUTO": "", "PATH": "/bin"}) == settings.Settings()


def test_everything_can_be_set(tmp_path: Path) -> None:
    given = {"AUTO": "1", "ONCE": "1", "LIFETIME": "12", "AUTH_PORT": "4001", "CONSENT_PORT": "4002", "DEMO_DIRECTORY": str(tmp_path)}
    assert settings.read(given) == settings.Settings(
        auto=True, once=True, lifetime=12, auth_port=4001, consent_port=4002, directory=tmp_path
    )


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        pytest.param({"AUTO": "yes"}, "AUTO is 'yes'; it is 1 for yes, 0 or nothing for no", id="AUTO is a word"),
        pytest.param({"ONCE": "2"}, "ONCE is '2'", id="ONCE is another number"),
        pytest.param({"LIFETIME": "4"}, "LIFETIME is '4'; it must be seconds, from 5 to 3600", id="tokens too short-lived to refresh"),
        pytest.param({"LIFETIME": "1m"}, "LIFETIME is '1m'", id="LIFETIME with a unit"),
        pytest.param({"LIFETIME": "²"}, "LIFETIME is '²'", id="a digit that is no number"),
        pytest.param({"AUTH_PORT": "443"}, "AUTH_PORT is '443'; it must be a port, from 1024 to 65535", id="a privileged port"),
        pytest.param({"CONSENT_PORT": "70000"}, "CONSENT_PORT is '70000'", id="no port"),
        pytest.param({"AUTH_PORT": "8088"}, "two servers need two ports", id="the same port twice"),
    ],
)
def test_anything_else_gets_a_sentence(given: dict[str, str], sentence: str) -> None:
    with pytest.raises(PartFailed) as failure:
        settings.read(given)
    assert sentence in str(failure.value)


def test_a_taken_port_ends_the_demo_before_it_begins(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        run = subprocess.run(
            [sys.executable, "-m", "demo"],
            env={**os.environ, "PYTHONPATH": "tests", "AUTH_PORT": str(port), "DEMO_DIRECTORY": str(tmp_path)},
            cwd=settings.ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
    assert run.returncode == 1
    assert f"port {port} of this machine is taken; choose another one: make demo AUTH_PORT={port + 1}" in run.stdout
    assert not list(tmp_path.iterdir())
