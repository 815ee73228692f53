"""The addresses that people follow have one spelling each."""

from __future__ import annotations

from base64 import urlsafe_b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doors.house import ID
from grantkeeper.consent.addresses import Callback, Link, is_random


@pytest.mark.parametrize(
    ("namespace", "grant", "request_id"),
    [
        pytest.param("team-a", "calendar-alice", ID, id="names and an id"),
        pytest.param("0", "a.b-c.d", ID, id="a digit; a name with dots"),
        pytest.param("n" * 63, "g" * 63, "A" * 43, id="as long as labels may be; the id that is all zeros"),
        pytest.param("a", ".".join(["g" * 63] * 3 + ["g" * 61]), ID, id="253 characters"),
    ],
)
def test_links_are_read_as_they_are_written(namespace: str, grant: str, request_id: str) -> None:
    link = Link.read(namespace, grant, request_id)
    assert link is not None
    assert link.path == f"/consent/{namespace}/{grant}/{request_id}"


@pytest.mark.parametrize(
    ("namespace", "grant", "request_id"),
    [
        pytest.param("Team-a", "calendar", ID, id="capitals"),
        pytest.param("team.a", "calendar", ID, id="a namespace with a dot"),
        pytest.param("-a", "calendar", ID, id="a hyphen in front"),
        pytest.param("a-", "calendar", ID, id="a hyphen at the end"),
        pytest.param("n" * 64, "calendar", ID, id="a namespace of 64"),
        pytest.param("", "calendar", ID, id="no namespace"),
        pytest.param("..", "calendar", ID, id="the directory above"),
        pytest.param("team-a", "a..b", ID, id="two dots"),
        pytest.param("team-a", "../secrets/x", ID, id="a way out"),
        pytest.param("team-a", "g" * 64, ID, id="a label of 64"),
        pytest.param("team-a", ".".join(["g" * 63] * 4), ID, id="255 characters"),
        pytest.param("team-a", "calendar\n", ID, id="a line end"),
        pytest.param("team-a", "calendar\x00", ID, id="a zero byte"),
        pytest.param("team-a", "cälendar", ID, id="a letter beyond ASCII"),
        pytest.param("team-a", "calendar", ID[:-1], id="an id that is too short"),
        pytest.param("team-a", "calendar", ID + "A", id="an id that is too long"),
        pytest.param("team-a", "calendar", "A" * 42 + "B", id="bits beyond the 256th"),
        pytest.param("team-a", "calendar", "A" * 42 + "=", id="padding"),
        pytest.param("team-a", "calendar", "+" + ID[1:], id="base64, not base64url"),
        pytest.param("team-a", "calendar", ID + "\n", id="an id with a line end"),
        pytest.param("team-a", "calendar", "\u0661" + ID[1:], id="a digit of another script"),
    ],
)
def test_nothing_else_is_a_link(namespace: str, grant: str, request_id: str) -> None:
    assert Link.read(namespace, grant, request_id) is None


@given(st.text(max_size=60), st.text(max_size=60), st.text(max_size=50))
def test_what_is_read_never_leaves_its_place_in_the_path(namespace: str, name: str, request_id: str) -> None:
    link, callback = Link.read(namespace, name, request_id), Callback.read(namespace, name)
    for path, parts in ((link.path if link else None, 5), (callback.path if callback else None, 4)):
        assert path is None or (path.isascii() and len(path.split("/")) == parts and "//" not in path)


def test_callbacks_are_read_as_links_are() -> None:
    callback = Callback.read("team-a", "calendar")
    assert callback is not None
    assert callback.path == "/callback/team-a/calendar"
    assert Callback.read("team-a", "cal/endar") is None
    assert Callback.read("TEAM", "calendar") is None


def test_an_id_shows_in_no_text() -> None:
    link = Link.read("team-a", "calendar", ID)
    assert ID not in repr(link)
    assert ID not in str(link)


@given(st.binary(min_size=32, max_size=32))
def test_every_256_bits_are_random_in_one_spelling(drawn: bytes) -> None:
    assert is_random(urlsafe_b64encode(drawn).decode().rstrip("="))
