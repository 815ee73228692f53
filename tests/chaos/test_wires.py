from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest

from chaos.wires import Wire, Wires


@pytest.fixture
def wire() -> Iterator[Wire]:
    """A way to a server that says everything twice."""
    listener = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=_serve, args=(listener,), daemon=True).start()
    with listener, Wires(listener.getsockname()[1], 2) as wires:
        assert wires.of(wires.all[0].port) is wires.all[0]
        yield wires.all[0]
        listener.shutdown(socket.SHUT_RDWR)


def _serve(listener: socket.socket) -> None:
    while True:
        try:
            end, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=_echo, args=(end,), daemon=True).start()


def _echo(end: socket.socket) -> None:
    with end:
        try:
            while received := end.recv(1000):
                end.sendall(received * 2)
        except OSError:
            return


def ask(end: socket.socket) -> bytes:
    end.sendall(b"x")
    received = b""
    while len(received) < 2 and (more := end.recv(10)):
        received += more
    return received


def connect(wire: Wire) -> socket.socket:
    return socket.create_connection(("127.0.0.1", wire.port), timeout=10)


def test_it_carries(wire: Wire) -> None:
    with connect(wire) as one, connect(wire) as other:
        assert [ask(one), ask(other), ask(one)] == [b"xx", b"xx", b"xx"]


def test_it_resets_what_is_open_and_carries_what_comes(wire: Wire) -> None:
    with connect(wire) as one:
        ask(one)
        wire.cut()
        with pytest.raises(ConnectionResetError):
            one.recv(1)
    with connect(wire) as one:
        assert ask(one) == b"xx"


def test_it_refuses_until_it_is_mended(wire: Wire) -> None:
    wire.refuse(60)
    with connect(wire) as one, suppress(OSError):  # which of them is told first, the end or the reset, is chance
        assert ask(one) == b""
    wire.mend()
    with connect(wire) as one:
        assert ask(one) == b"xx"


def test_it_loses_an_answer_to_what_was_done_but_none_of_a_handshake(wire: Wire) -> None:
    wire.lose_answers(1)
    with connect(wire) as one:
        assert [ask(one), ask(one)] == [b"xx", b"xx"]
        with pytest.raises(ConnectionResetError):
            ask(one)
    with connect(wire) as one:
        assert [ask(one) for _ in range(4)] == [b"xx"] * 4


def test_it_is_late(wire: Wire) -> None:
    wire.slow(0.2, 60)
    with connect(wire) as one:
        begun = time.monotonic()
        assert ask(one) == b"xx"
        assert time.monotonic() - begun >= 0.4
