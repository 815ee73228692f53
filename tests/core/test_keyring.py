"""The keyring: what is taken for a key, what is refused with which sentence, and that none of it is ever shown."""

from __future__ import annotations

import base64
from collections.abc import Mapping

import pytest
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap
from joserfc.jwk import OctKey

from grantkeeper.core.keyring import Keyring, thumbprint
from grantkeeper.errors import KeyringError

KEY = bytes(range(32))
OTHER = bytes(range(100, 132))
URLSAFE = b"\xfb\xff" * 16  # in base64 all of it is + and /, or - and _


@pytest.mark.parametrize(
    ("content", "key"),
    [
        pytest.param(KEY, KEY, id="32 bytes as they are"),
        pytest.param(b"\n" * 31 + b"x", b"\n" * 31 + b"x", id="raw bytes that look like newlines stay a key"),
        pytest.param(base64.b64encode(KEY), KEY, id="base64"),
        pytest.param(base64.b64encode(KEY) + b"\n", KEY, id="as openssl rand prints it"),
        pytest.param(base64.b64encode(KEY) + b"\r\n", KEY, id="as an editor on Windows saves it"),
        pytest.param(base64.b64encode(URLSAFE), URLSAFE, id="the standard alphabet"),
        pytest.param(base64.urlsafe_b64encode(URLSAFE), URLSAFE, id="the urlsafe alphabet"),
        pytest.param(base64.urlsafe_b64encode(URLSAFE).rstrip(b"="), URLSAFE, id="without padding, as in a JWK"),
    ],
)
def test_what_is_a_key(content: bytes, key: bytes) -> None:
    assert Keyring.from_files({"a": content, "active": b"a"}).active_kid == thumbprint(key)


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        pytest.param({"active": b"a"}, "The keyring holds no key", id="no key at all"),
        pytest.param({}, "The keyring holds no key", id="nothing at all"),
        pytest.param({"a": KEY[:31], "active": b"a"}, "'a' is not 32 bytes", id="31 bytes"),
        pytest.param({"a": KEY + b"\n", "active": b"a"}, "'a' is not 32 bytes", id="33 bytes: the newline may belong to the key"),
        pytest.param({"a": b"", "active": b"a"}, "'a' is not 32 bytes", id="an empty file"),
        pytest.param({"a": base64.b64encode(KEY[:16]), "active": b"a"}, "'a' is not 32 bytes", id="a key of AES-128"),
        pytest.param({"a": base64.b64encode(KEY + KEY), "active": b"a"}, "'a' is not 32 bytes", id="a key twice as long"),
        pytest.param({"a": KEY.hex().encode(), "active": b"a"}, "'a' is not 32 bytes", id="hexadecimal"),
        pytest.param(
            {"a": base64.b64encode(KEY)[:20] + b" " * 4 + base64.b64encode(KEY)[20:], "active": b"a"},
            "'a' is not 32 bytes",
            id="spaces inside",
        ),
        pytest.param({"a": bytes(32), "active": b"a"}, "'a' is one byte over and over", id="all zero"),
        pytest.param({"a": base64.b64encode(b"\x07" * 32), "active": b"a"}, "'a' is one byte over and over", id="all seven, in base64"),
        pytest.param(
            {"a": KEY, "b": base64.b64encode(KEY), "active": b"a"}, "'a' and 'b' are the same key", id="the same key in two spellings"
        ),
        pytest.param({"a": KEY, "b": OTHER}, "does not say which key seals: set 'active' to the name", id="no active"),
        pytest.param({"a": KEY, "active": b"b"}, "'active' names none of its keys: set it to one of 'a'", id="active names nothing"),
        pytest.param({"a": KEY, "active": b""}, "'active' names none", id="active is empty"),
        pytest.param({"a": KEY, "active": b"active"}, "'active' names none", id="active names itself"),
        pytest.param({"a": KEY, "active": OTHER}, "'active' names none", id="a key where its name belongs"),
        pytest.param({"a": KEY, "b": OTHER[:20], "active": b"a"}, "'b' is not 32 bytes", id="a broken key that does not even seal"),
    ],
)
def test_what_is_refused(files: Mapping[str, bytes], sentence: str) -> None:
    with pytest.raises(KeyringError) as refused:
        Keyring.from_files(files)
    text = str(refused.value)
    assert sentence in text
    assert text.endswith((".", "there."))
    for content in files.values():
        if len(content) > len("active"):
            assert repr(content)[2:-1] not in text, "a key's bytes are shown"
            assert content.decode(errors="replace") not in text, "a key's text is shown"


def test_a_newline_after_the_active_name_is_tolerated() -> None:
    assert Keyring.from_files({"a": KEY, "b": OTHER, "active": b"b\n"}).active_kid == thumbprint(OTHER)


def test_a_key_is_known_by_its_thumbprint_and_not_by_its_file() -> None:
    before = Keyring.from_files({"a": KEY, "active": b"a"})
    renamed = Keyring.from_files({"z": KEY, "a": OTHER, "active": b"z"})
    assert renamed.active_kid == before.active_kid
    assert renamed.kids == {thumbprint(KEY), thumbprint(OTHER)}


def test_the_thumbprint_is_that_of_rfc_7638() -> None:
    assert thumbprint(KEY) == OctKey.import_key(KEY).thumbprint() == "WqjPPRvAP8oYbAqCwMErhzTg-Quaz-vLx_cef07yhOs"


def test_its_text_shows_no_key() -> None:
    text = repr(Keyring.from_files({"a": KEY, "active": b"a"}))
    assert thumbprint(KEY) in text
    assert repr(KEY)[2:-1] not in text
    assert base64.b64encode(KEY).decode() not in text


def test_a_data_key_comes_back_under_the_key_that_wrapped_it() -> None:
    keyring = Keyring.from_files({"a": KEY, "b": OTHER, "active": b"b"})
    wrapped = keyring.wrap(b"d" * 32)
    assert len(wrapped) == 40
    assert keyring.unwrap(thumbprint(OTHER), wrapped) == b"d" * 32
    with pytest.raises(InvalidUnwrap):
        keyring.unwrap(thumbprint(KEY), wrapped)
