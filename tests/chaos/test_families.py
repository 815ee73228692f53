from __future__ import annotations

import pytest

from chaos.families import LEEWAY, Book, Family, Manner, Reply, sha256

AT, SOON, LATE = 1000.0, 1010.0, 1000.0 + LEEWAY + 1


def redeemed(book: Book, manner: Manner, **said: object) -> dict[str, str]:
    code = book.issue_code(Family("alice", manner, **said))  # type: ignore[arg-type]
    reply = book.present({"grant_type": "authorization_code", "code": code}, AT)
    assert reply.status == 200
    return reply.members


def refresh(book: Book, token: str, at: float) -> Reply:
    return book.present({"grant_type": "refresh_token", "refresh_token": token}, at)


@pytest.mark.parametrize(
    ("manner", "soon", "late", "lives"),
    [
        pytest.param(Manner.KEPT, 200, 200, True, id="kept: as often as one likes"),
        pytest.param(Manner.LEEWAY, 200, 400, True, id="leeway: again within it, and not after it"),
        pytest.param(Manner.STRICT, 400, 400, True, id="strict: never again, and nothing else happens"),
        pytest.param(Manner.FAMILY, 400, 400, False, id="family: never again, and that is the end"),
    ],
)
def test_a_refresh_token_that_is_presented_again(manner: Manner, soon: int, late: int, lives: bool) -> None:
    book = Book()
    first = redeemed(book, manner)
    assert refresh(book, first["refresh_token"], AT).status == 200
    assert refresh(book, first["refresh_token"], SOON).status == soon
    assert refresh(book, first["refresh_token"], LATE).status == late
    assert book.is_active(first["access_token"], LATE) is lives
    assert book.is_ended("alice") is not lives


def test_a_successor_lives_and_what_it_follows_does_not() -> None:
    book = Book()
    first = redeemed(book, Manner.STRICT)
    second = refresh(book, first["refresh_token"], AT).members
    assert book.is_active(second["refresh_token"], AT)
    assert not book.is_active(first["refresh_token"], AT)
    assert second["refresh_token"] != first["refresh_token"]


def test_a_server_that_keeps_the_token_does_not_repeat_it() -> None:
    book = Book()
    first = redeemed(book, Manner.KEPT)
    assert "refresh_token" not in refresh(book, first["refresh_token"], AT).members
    assert book.is_active(first["refresh_token"], AT)


def test_a_code_presented_twice_ends_the_family() -> None:
    book = Book()
    code = book.issue_code(Family("alice", Manner.KEPT))
    form = {"grant_type": "authorization_code", "code": code}
    tokens = book.present(form, AT).members
    assert book.present(form, SOON).members == {"error": "invalid_grant"}
    assert not book.is_active(tokens["access_token"], SOON)


def test_what_is_refused_for_now_is_not_spent() -> None:
    book = Book()
    first = redeemed(book, Manner.FAMILY, refusals={"refresh_token": 1})
    assert refresh(book, first["refresh_token"], AT).members == {"error": "temporarily_unavailable"}
    assert refresh(book, first["refresh_token"], SOON).status == 200


def test_an_answer_that_is_cut_has_done_its_work() -> None:
    book = Book()
    first = redeemed(book, Manner.STRICT, cuts={"refresh_token": 1})
    assert refresh(book, first["refresh_token"], AT).is_cut
    assert not book.is_active(first["refresh_token"], AT)


def test_revocation_ends_the_family_by_its_refresh_token_and_one_access_token_by_itself() -> None:
    book = Book()
    first = redeemed(book, Manner.STRICT)
    second = refresh(book, first["refresh_token"], AT).members
    book.revoke(first["access_token"])
    assert not book.is_active(first["access_token"], AT)
    assert book.is_active(second["access_token"], AT)
    book.revoke(second["refresh_token"])
    assert book.is_ended("alice")
    assert not book.is_active(second["access_token"], AT)


def test_the_ledger_knows_tokens_by_their_hashes() -> None:
    book = Book()
    first = redeemed(book, Manner.STRICT)
    refresh(book, first["refresh_token"], SOON)
    code, presented = book.entries
    assert code.access_token == sha256(first["access_token"])
    assert (presented.time, presented.presented, presented.error) == (SOON, sha256(first["refresh_token"]), None)


def test_an_access_token_lives_as_long_as_was_said() -> None:
    book = Book()
    first = redeemed(book, Manner.STRICT, lifetime=16, later=3600)
    assert book.is_active(first["access_token"], AT + 15)
    assert not book.is_active(first["access_token"], AT + 16)
    assert refresh(book, first["refresh_token"], AT).members["expires_in"] == 3600
