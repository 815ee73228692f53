"""Other people's vectors: through the primitives that seal, and against the profile, which must open none of them."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap, aes_key_wrap

from grantkeeper.core.keyring import Keyring, thumbprint
from grantkeeper.core.sealing import Context, open_sealed
from grantkeeper.errors import KeyringError, Unsealable

VECTORS = Path(__file__).parents[1] / "vectors"
CONTEXT = Context(cluster="c", namespace="ns", name="n", uid="u", connector_hash="h")


def wycheproof(name: str, **group: int) -> list[Any]:
    """Every case of a file, with the members of its group beside its own."""
    groups = json.loads((VECTORS / "wycheproof" / f"{name}_test.json").read_text())["testGroups"]
    return [
        pytest.param({**held, **case}, id=f"{case['tcId']} {case['comment'] or case['result']}")
        for held in groups
        if group.items() <= held.items()
        for case in held["tests"]
    ]


def rfc7520() -> list[Any]:
    return [
        pytest.param(json.loads(path.read_text()), id=path.name.partition(".")[0]) for path in sorted((VECTORS / "rfc7520").glob("*.json"))
    ]


def decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def open_jwe(compact: str, key: bytes) -> bytes:
    """A JWE of AES key wrap and AES-GCM by the same two primitives, and nothing of the profile."""
    header, wrapped, iv, ciphertext, tag = compact.split(".")
    return AESGCM(aes_key_unwrap(key, decode(wrapped))).decrypt(decode(iv), decode(ciphertext) + decode(tag), header.encode())


@pytest.mark.parametrize("case", wycheproof("aes_wrap"))
def test_key_wrap(case: dict[str, Any]) -> None:
    key, wrapped, data = (bytes.fromhex(case[name]) for name in ("key", "ct", "msg"))
    if case["result"] == "valid":
        assert aes_key_unwrap(key, wrapped) == data
        assert aes_key_wrap(key, data) == wrapped
    else:
        with pytest.raises((InvalidUnwrap, ValueError)):
            aes_key_unwrap(key, wrapped)


@pytest.mark.parametrize("case", wycheproof("aes_wrap", keySize=256))
def test_a_keyring_unwraps_what_was_wrapped_rightly_and_nothing_else(case: dict[str, Any]) -> None:
    key, wrapped, data = (bytes.fromhex(case[name]) for name in ("key", "ct", "msg"))
    try:
        keyring = Keyring.from_files({"key": key, "active": b"key"})
    except KeyringError:
        pytest.fail("Wycheproof's keys are fit for a keyring")
    if case["result"] == "valid":
        assert keyring.unwrap(thumbprint(key), wrapped) == data
    else:
        with pytest.raises(InvalidUnwrap):
            keyring.unwrap(thumbprint(key), wrapped)


@pytest.mark.parametrize("case", wycheproof("aes_gcm", keySize=256, ivSize=96, tagSize=128))
def test_gcm(case: dict[str, Any]) -> None:
    key, iv, aad, ciphertext, tag, data = (bytes.fromhex(case[name]) for name in ("key", "iv", "aad", "ct", "tag", "msg"))
    if case["result"] == "valid":
        assert AESGCM(key).decrypt(iv, ciphertext + tag, aad) == data
        assert AESGCM(key).encrypt(iv, data, aad) == ciphertext + tag
    else:
        with pytest.raises(InvalidTag):
            AESGCM(key).decrypt(iv, ciphertext + tag, aad)


@pytest.mark.parametrize("case", wycheproof("json_web_encryption"))
def test_the_profile_opens_no_jwe_of_wycheproof_not_even_with_its_key(case: dict[str, Any]) -> None:
    refused_by_all(case["jwe"], case["private"])


@pytest.mark.parametrize("case", rfc7520())
def test_the_profile_opens_no_jwe_of_rfc_7520_in_any_serialization(case: dict[str, Any]) -> None:
    outputs = [text if isinstance(text, str) else json.dumps(text) for text in case["output"].values()]
    assert outputs
    for text in outputs:
        refused_by_all(text, case["input"]["key"])


def refused_by_all(text: str, key: dict[str, Any] | list[dict[str, Any]]) -> None:
    files = {"own": bytes(range(32)), "active": b"own"}
    if isinstance(key, dict) and key["kty"] == "oct" and len(decode(key["k"])) == 32:
        files["theirs"] = decode(key["k"])
    with pytest.raises(Unsealable):
        open_sealed(text, CONTEXT, Keyring.from_files(files))


def test_the_one_jwe_of_wycheproof_with_our_two_algorithms_opens_by_our_primitives() -> None:
    cases = [case.values[0] for case in wycheproof("json_web_encryption")]
    (case,) = (c for c in cases if c["private"].get("alg") == "A256KW" and c["enc"] == "A256GCM" and c["result"] == "valid")
    assert open_jwe(case["jwe"], decode(case["private"]["k"])) == bytes.fromhex(case["pt"])


def test_the_example_of_rfc_7520_section_5_8_opens_by_our_primitives() -> None:
    (case,) = (c.values[0] for c in rfc7520() if c.values[0]["title"] == "Key Wrap using AES-KeyWrap with AES-GCM")
    assert open_jwe(case["output"]["compact"], decode(case["input"]["key"]["k"])) == case["input"]["plaintext"].encode()


def test_all_cases_are_here() -> None:
    assert (len(wycheproof("aes_wrap")), len(wycheproof("aes_wrap", keySize=256))) == (165, 68)
    assert len(wycheproof("aes_gcm", keySize=256, ivSize=96, tagSize=128)) == 66
    assert (len(wycheproof("json_web_encryption")), len(rfc7520())) == (139, 7)
