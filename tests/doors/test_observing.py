"""The port that people do not reach, of the real processes; there is no API server for them to find."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from doors.test_consent_process import said, settings, started
from parts.processes import free_port
from parts.waiting import wait_for


@pytest.fixture
def ports() -> tuple[int, int]:
    """Where people come, and where kubelet and Prometheus do; where two processes are in one, they have the port after it as well."""
    return free_port(), free_port(in_a_row=2)


def told(directory: Path, people: int, observers: int) -> dict[str, str]:
    pod = {"GRANTKEEPER_POD_NAME": "p", "GRANTKEEPER_POD_UID": "u"}
    return settings(directory, people, GRANTKEEPER_METRICS_LISTEN=f"127.0.0.1:{observers}", **pod)


def ask(port: int, path: str) -> httpx.Response:
    return httpx.get(f"http://127.0.0.1:{port}{path}", trust_env=False, timeout=30)


def answers(port: int) -> bool:
    try:
        return ask(port, "/healthz").is_success
    except httpx.TransportError:
        return False


@pytest.mark.parametrize(
    ("command", "missing"),
    [
        pytest.param("consent", "The Kubernetes API server has not answered for 20 seconds.\n", id="consent"),
        pytest.param("controller", "The keyring has not been read yet.\n", id="controller"),
    ],
)
def test_a_process_without_an_api_server_lives_and_is_not_ready(command: str, missing: str, tmp_path: Path, ports: tuple[int, int]) -> None:
    with started("-m", "grantkeeper", command, **told(tmp_path, *ports)):
        wait_for(lambda: answers(ports[1]), "the port to answer", within=60)
        ready, metrics = ask(ports[1], "/readyz"), ask(ports[1], "/metrics")
        assert (ready.status_code, ready.text) == (503, missing)
        assert metrics.headers["content-type"].startswith("text/plain; version=")
        assert "\nprocess_resident_memory_bytes " in metrics.text
        assert "_created" not in metrics.text
        assert ask(ports[1], "/").status_code == 404


def test_pages_and_numbers_are_on_different_ports(tmp_path: Path, ports: tuple[int, int]) -> None:
    with started("-m", "grantkeeper", "consent", **told(tmp_path, *ports)):
        wait_for(lambda: answers(ports[1]), "the port to answer", within=60)
        for path in ("/healthz", "/readyz", "/metrics"):
            page = ask(ports[0], path)
            assert page.status_code == 404
            assert page.headers["content-type"].startswith("text/html")
        assert ask(ports[0], "/").is_success
        shown = ask(ports[1], "/metrics").text
        assert 'grantkeeper_consent_pages_total{page="unknown"} 3.0' in shown
        assert 'grantkeeper_consent_pages_total{page="root"} 1.0' in shown


def test_both_processes_side_by_side_end_well_when_they_are_asked_to(tmp_path: Path, ports: tuple[int, int]) -> None:
    with started("-m", "grantkeeper", "all-in-one", **told(tmp_path, *ports)) as process:
        wait_for(lambda: answers(ports[1]) and answers(ports[1] + 1), "both to answer, one port apart", within=60)
        assert '"The pages are open"' in said(process)
    assert process.returncode == 0
    assert not answers(ports[1])
    assert not answers(ports[1] + 1)


def test_a_port_for_both_is_refused_in_a_sentence(tmp_path: Path) -> None:
    port = free_port()
    with started("-m", "grantkeeper", "consent", **told(tmp_path, port, port)) as process:
        written, _ = process.communicate(timeout=60)
    assert process.returncode == 2
    assert f"GRANTKEEPER_METRICS_LISTEN is 127.0.0.1:{port}, and that cannot be listened on: Address already in use." in written
    assert "Traceback" not in written
