"""The account at the provider: what its claims say, cut to what a status may hold, and whether it is the one that was expected.

Only what the provider has verified counts as an e-mail address, because a person may type any other one there.
"""

from __future__ import annotations

import re
import string
from collections.abc import Mapping, Sequence
from http import HTTPStatus

from grantkeeper.core.documents import Unreadable, read_object
from grantkeeper.core.messages import Answer
from grantkeeper.core.tokens import IDClaims
from grantkeeper.resources import Account, ExpectedAccount

SUBJECT = re.compile(r"[\x20-\x7e]{1,255}")
_EMAIL = re.compile(r"(?=.{3,254}$)[^@\s]+@[^@\s]+")
_DOMAIN = re.compile(r"[\w.-]{1,253}", re.ASCII)
_PICTURE = re.compile(r"https://[\x21\x23-\x5b\x5d-\x7e]{1,2040}")
_NAME_LENGTH = 255
_LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)
"""ASCII alone: other letters have relatives that become ASCII when lowered, and an address must not turn into another."""


def describe(claims: Mapping[str, object], *, issuer: str | None, subject: str) -> IDClaims:
    """What is kept of claims (OpenID Connect Core section 5.1): a long name is cut, what would be wrong when cut is left out."""
    return IDClaims(
        iss=issuer,
        sub=subject,
        username=_read_name(claims.get("preferred_username", claims.get("login"))),
        name=_read_name(claims.get("name")),
        email=_read(claims.get("email"), _EMAIL),
        email_verified=True if claims.get("email_verified") in (True, "true") else None,  # some write the word
        hd=_read(claims.get("hd"), _DOMAIN),
        picture=_read(claims.get("picture", claims.get("avatar_url")), _PICTURE),
    )


def read_userinfo(answer: Answer, *, issuer: str | None) -> IDClaims | None:
    """The account in a userinfo answer (OpenID Connect Core section 5.3.2); None where there is none.

    A server without an issuer is no OpenID provider: there the account may be called `id`, as a number too.
    """
    if answer.status != HTTPStatus.OK:
        return None
    try:
        members = read_object(answer.body)
    except Unreadable:
        return None
    subject = members.get("sub")
    if subject is None and issuer is None:
        number = members.get("id")
        subject = str(number) if isinstance(number, int) and not isinstance(number, bool) else number
    if not isinstance(subject, str) or not SUBJECT.fullmatch(subject):
        return None
    return describe(members, issuer=issuer, subject=subject)


def complete(told: IDClaims, besides: IDClaims) -> IDClaims:
    """What an ID token says, with what userinfo says besides; an address comes with its verification from one of them."""
    more, first = besides.model_dump(exclude_none=True), told.model_dump(exclude_none=True)
    weaker = first if besides.email and besides.email_verified and not told.email_verified else more if told.email is not None else {}
    for member in ("email", "email_verified"):
        weaker.pop(member, None)
    return IDClaims.model_validate({**more, **first})


def is_enough(claims: IDClaims | None, expected: ExpectedAccount | None) -> bool:
    """Whether the claims can tell if this is the account that was expected."""
    if expected is None:
        return True
    if claims is None or (expected.email is not None and not claims.email_verified):
        return False
    return expected.domain is None or bool(claims.email_verified) or _lower(expected.domain) in _domains(claims)


def promises_more(claims: IDClaims | None, scopes: Sequence[str]) -> bool:
    """Whether userinfo has what the ID token leaves out: claims of a scope are promised there (OpenID Connect Core section 5.4)."""
    if claims is None:
        return "openid" in scopes
    return ("email" in scopes and claims.email is None) or ("profile" in scopes and claims.name is None)


def is_expected(claims: IDClaims | None, expected: ExpectedAccount | None) -> bool:
    """Whether this is the account that was expected, in everything that the expectation names."""
    if expected is None:
        return True
    if claims is None:
        return False
    email = claims.email if claims.email_verified else None
    return (
        expected.subject in {None, claims.sub}
        and (expected.email is None or (email is not None and _lower(expected.email) == _lower(email)))
        and (expected.domain is None or _lower(expected.domain) in _domains(claims))
    )


def put_in_words(expected: ExpectedAccount | None) -> str:
    """What is expected, as spec.expectedAccount says it."""
    said = expected.model_dump(exclude_none=True) if expected is not None else {}
    return ", ".join(f"{member} {value}" for member, value in said.items())


def show(claims: IDClaims | None) -> Account | None:
    """The account as status shows it."""
    if claims is None:
        return None
    return Account(subject=claims.sub, username=claims.username, email=claims.email, name=claims.name, picture=claims.picture)


def _domains(claims: IDClaims) -> set[str]:
    """The organization's domains: of the verified address, and the one that Google calls `hd`."""
    verified = claims.email.rpartition("@")[2] if claims.email and claims.email_verified else None
    return {_lower(domain) for domain in (verified, claims.hd) if domain}


def _read_name(value: object) -> str | None:
    """A name in one line, without characters that show nothing or turn the line around."""
    if not isinstance(value, str):
        return None
    return "".join(letter for letter in value[: 4 * _NAME_LENGTH] if letter.isprintable()).strip()[:_NAME_LENGTH].strip() or None


def _read(value: object, form: re.Pattern[str]) -> str | None:
    return value if isinstance(value, str) and value.isprintable() and form.fullmatch(value) else None


def _lower(text: str) -> str:
    return text.translate(_LOWER)
