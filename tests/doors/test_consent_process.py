"""The real process on a real socket: what it writes down, what it answers to, how it starts and stops."""

from __future__ import annotations

import base64
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest

from doors.house import CALLBACK, CODE, ID, LINK, onward, press, random_like, state_of
from doors.serving import CANARY
from parts.processes import free_port

TESTS = Path(__file__).parent.parent


@contextmanager
def started(*arguments: str, **environment: str) -> Iterator[subprocess.Popen[str]]:
    """Run a Python process with this environment and no other variable of ours; it is killed where it does not end by itself."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("GRANTKEEPER_", "KUBE"))}
    process = subprocess.Popen(
        [sys.executable, *arguments],
        env={**kept, "PYTHONPATH": str(TESTS), "PYTHONUNBUFFERED": "1", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def said(process: subprocess.Popen[str], stop: signal.Signals = signal.SIGTERM) -> str:
    """Ask a process to stop, and return all that it wrote."""
    process.send_signal(stop)
    written, _ = process.communicate(timeout=60)
    return written


def port_of(process: subprocess.Popen[str]) -> int:
    """The port that `doors.serving` printed."""
    assert process.stdout is not None
    return int(process.stdout.readline())


def test_a_whole_consent_leaves_no_secret_in_the_log() -> None:
    with started("-m", "doors.serving") as process:
        port = port_of(process)
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=30) as browser:
            state = state_of(onward(browser.post(LINK, headers=press())))
            stray = random_like("a stray state")
            secrets = [CODE, state, stray, ID, CANARY, next(iter(browser.cookies.values()))]
            strays = [
                browser.get(CALLBACK, params={"code": CODE, "state": stray}),
                browser.get(CALLBACK, params=[("code", CODE), ("code", CODE), ("state", state)]),
                browser.get("/callback/team-a/mail", params={"code": CODE, "state": state}),
                browser.get(f"/consent/broken/calendar-alice/{ID}"),
                browser.get(f"/consent/team-a/{CODE.lower()}/{ID}?code={CODE}"),
                browser.post(CALLBACK, params={"code": CODE, "state": state}, content=CODE),
                browser.request("BREW", LINK),
            ]
            back = browser.get(CALLBACK, params={"code": CODE, "state": state})
        assert [response.status_code for response in strays] == [400, 400, 400, 500, 404, 405, 405]
        assert back.status_code == 303
        written = said(process)
    assert '"A person went to the authorization server"' in written
    assert '"An answer came back"' in written
    assert '"A page failed"' in written
    assert '"RuntimeError"' in written
    for secret in secrets:
        for spelling in (secret, quote(secret, safe=""), base64.b64encode(secret.encode()).decode().rstrip("=")):
            assert spelling not in written
    assert "/callback" not in written, "an access log"
    assert process.returncode == 0


@pytest.mark.parametrize(
    ("head", "status"),
    [
        pytest.param(f"GET {LINK} HTTP/1.1", 200, id="a link"),
        pytest.param(f"GET {LINK.replace('team-a/', 'team-a%2f')} HTTP/1.1", 404, id="an escaped slash"),
        pytest.param(f"GET {LINK}%00 HTTP/1.1", 404, id="a zero byte"),
        pytest.param(f"GET http://evil.example{LINK} HTTP/1.1", 404, id="an absolute address"),
        pytest.param(f"GET /x/..{LINK} HTTP/1.1", 404, id="the directory above"),
        pytest.param(f"GET {LINK}#x HTTP/1.1", 404, id="a fragment"),
        pytest.param(f"GET {CALLBACK}?code={'c' * 20000}&state=x HTTP/1.1", 400, id="a query that is too long"),
        pytest.param(f"GET {LINK} HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade", 200, id="a WebSocket"),
        pytest.param("GET / HTTP/1.1\r\nHost: evil.example", 400, id="two hosts"),
    ],
)
def test_what_is_answered_to_bytes_that_no_browser_sends(head: str, status: int, serving: int) -> None:
    with socket.create_connection(("127.0.0.1", serving), timeout=60) as connection:
        connection.sendall(f"{head}\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode())
        answer = b""
        while received := connection.recv(65536):
            answer += received
    headers = answer.partition(b"\r\n\r\n")[0].decode().lower()
    assert headers.startswith(f"http/1.1 {status} ")
    assert "\r\nserver:" not in headers
    assert "evil.example" not in answer.decode()


def test_a_head_without_end_is_refused_before_it_has_come(serving: int) -> None:
    with socket.create_connection(("127.0.0.1", serving), timeout=60) as connection:
        connection.sendall(f"GET {LINK} HTTP/1.1\r\nX-Long: {'x' * 40000}".encode())
        assert connection.recv(65536).startswith(b"HTTP/1.1 400 ")


@pytest.fixture(scope="module")
def serving() -> Iterator[int]:
    """The port of one process for many requests."""
    with started("-m", "doors.serving") as process:
        yield port_of(process)


def settings(directory: Path, port: int, **changes: str) -> dict[str, str]:
    """The environment of `grantkeeper consent`, with an API server that is not there."""
    kubeconfig = directory / "kubeconfig"
    kubeconfig.write_text(
        json.dumps(
            {
                "current-context": "here",
                "contexts": [{"name": "here", "context": {"cluster": "here", "user": "here"}}],
                "clusters": [{"name": "here", "cluster": {"server": "https://127.0.0.1:9"}}],
                "users": [{"name": "here", "user": {"token": "none"}}],
            }
        )
    )
    return {
        "GRANTKEEPER_NAMESPACE": "grantkeeper",
        "GRANTKEEPER_EXTERNAL_URL": f"http://127.0.0.1:{port}",
        "GRANTKEEPER_LISTEN": f"127.0.0.1:{port}",
        "GRANTKEEPER_METRICS_LISTEN": "127.0.0.1:0",
        "KUBECONFIG": str(kubeconfig),
        **changes,
    }


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_the_command_serves_the_pages_and_stops_when_asked(stop: signal.Signals, tmp_path: Path) -> None:
    port = free_port()
    with started("-m", "grantkeeper", "consent", **settings(tmp_path, port)) as process:
        assert process.stdout is not None
        assert "The pages are open" in process.stdout.readline()
        assert "Nothing to do here" in httpx.get(f"http://127.0.0.1:{port}/", trust_env=False, timeout=30).text
        assert "Traceback" not in said(process, stop)
    assert process.returncode == 0


def test_a_port_that_is_taken_is_said_in_a_sentence(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with started("-m", "grantkeeper", "consent", **settings(tmp_path, port)) as process:
            written, _ = process.communicate(timeout=60)
    assert process.returncode == 2
    assert f"GRANTKEEPER_LISTEN is 127.0.0.1:{port}, and that cannot be listened on: Address already in use." in written
    assert "Traceback" not in written


def test_a_port_that_is_none_is_said_in_a_sentence(tmp_path: Path) -> None:
    with started("-m", "grantkeeper", "consent", **settings(tmp_path, 8080, GRANTKEEPER_LISTEN="127.0.0.1:99999")) as process:
        written, _ = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "127.0.0.1:99999, and that cannot be listened on" in written
    assert "Traceback" not in written
