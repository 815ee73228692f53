from __future__ import annotations

import httpx
import pytest

from parts import PartFailed
from parts.person import Page, Person

ADDRESS = "https://server.example/ask?id=1"


def page(html: str) -> Page:
    return Page(httpx.Response(200, html=html, request=httpx.Request("GET", ADDRESS)))


@pytest.mark.parametrize(
    ("content", "moves_on"),
    [
        pytest.param("0; url=https://elsewhere.example/a?b=1", (0, "https://elsewhere.example/a?b=1"), id="at once, to another server"),
        pytest.param("2; url=?look=3", (2, "https://server.example/ask?look=3"), id="later, to the same page with another query"),
        pytest.param("5;URL='/done'", (5, "https://server.example/done"), id="in capitals and quotes"),
        pytest.param("1", (1, ADDRESS), id="no address: the page itself"),
        pytest.param("soon", None, id="no number: nothing"),
    ],
)
def test_a_page_may_move_on_by_itself(content: str, moves_on: tuple[float, str] | None) -> None:
    assert page(f'<meta http-equiv="refresh" content="{content}">').moves_on == moves_on


def test_a_page_is_read_as_people_read_it() -> None:
    seen = page("<h1>Allow <b>access</b>?</h1><p>To\n your calendar</p><form><button>Allow</button><button>Deny</button></form>")
    assert seen.heading == "Allow access ?"
    assert seen.text == "Allow access ? To your calendar Allow Deny"
    assert [button.get_text() for button in seen.buttons] == ["Allow", "Deny"]
    assert seen.moves_on is None


def test_a_button_that_is_not_there_cannot_be_pressed() -> None:
    with Person() as person, pytest.raises(PartFailed, match="no button 'Deny'"):
        person.submit(page("<form><button>Allow</button></form>"), "Deny")


def test_a_page_without_a_form_cannot_be_submitted() -> None:
    with Person() as person, pytest.raises(PartFailed, match="no form"):
        person.submit(page("<p>Done."))
