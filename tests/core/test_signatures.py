from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc.jwk import RSAKey
from pydantic import SecretStr

from fakes.signing import Signer, make_key, publish
from grantkeeper.core.documents import Unreadable
from grantkeeper.core.signatures import Unverifiable, read_keys, verify

CLAIMS = {"sub": "alice"}
EC = Signer(make_key("EC"))
ANOTHER = Signer(make_key("EC", number=2), kid="second")
RSA = Signer(make_key("RSA"), algorithm="RS256")


def part(document: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(document).encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    ("signer", "digest"),
    [
        pytest.param(RSA, "sha256", id="RS256"),
        pytest.param(Signer(RSA.key, algorithm="RS384"), "sha384", id="RS384"),
        pytest.param(Signer(RSA.key, algorithm="PS256"), "sha256", id="PS256"),
        pytest.param(Signer(RSA.key, algorithm="PS512"), "sha512", id="PS512"),
        pytest.param(EC, "sha256", id="ES256"),
        pytest.param(Signer(make_key("EC", curve="P-384"), algorithm="ES384"), "sha384", id="ES384"),
        pytest.param(Signer(make_key("EC", curve="P-521"), algorithm="ES512"), "sha512", id="ES512"),
        pytest.param(Signer(make_key("OKP"), algorithm="EdDSA"), "sha512", id="EdDSA"),
        pytest.param(Signer(make_key("OKP"), algorithm="Ed25519"), "sha512", id="Ed25519"),
    ],
)
def test_a_signature_of_the_servers_own_key_holds(signer: Signer, digest: str) -> None:
    verified = verify(signer.sign(CLAIMS), read_keys(publish(signer.publish())))
    assert (verified.claims, verified.digest) == (CLAIMS, digest)


@pytest.mark.parametrize(
    ("token", "keys"),
    [
        pytest.param(EC.sign(CLAIMS, kid=None), (EC.publish(),), id="no key named, and one key"),
        pytest.param(EC.sign(CLAIMS, kid=None), (EC.publish(kid=None),), id="no key named, and one without a name"),
        pytest.param(EC.sign(CLAIMS, kid=None), (EC.publish(), RSA.publish()), id="no key named, and one that fits the algorithm"),
        pytest.param(EC.sign(CLAIMS), (ANOTHER.publish(), EC.publish()), id="one key of two, by its name"),
        pytest.param(EC.sign(CLAIMS), (ANOTHER.publish(kid="first"), EC.publish()), id="two keys of one name"),
        pytest.param(EC.sign(CLAIMS), (EC.publish(alg=None, use=None),), id="a key of which nothing is said"),
        pytest.param(EC.sign(CLAIMS), (EC.publish(key_ops=["verify"]),), id="a key that is for verifying"),
        pytest.param(EC.sign(CLAIMS, typ="JWT", x5t="abc", ours="1" * 3000), (EC.publish(),), id="a header of many members"),
        pytest.param(EC.sign({**CLAIMS, "groups": "g" * 20000}), (EC.publish(),), id="many claims"),
        pytest.param(EC.sign(CLAIMS), (EC.key.as_dict(private=True) | {"kid": "first"},), id="a server that shows its private key"),
    ],
)
def test_the_key_is_found(token: SecretStr, keys: tuple[dict[str, Any], ...]) -> None:
    assert verify(token, read_keys(publish(*keys))).claims["sub"] == "alice"


@pytest.mark.parametrize(
    ("token", "keys", "reason"),
    [
        pytest.param(ANOTHER.sign(CLAIMS, kid="first"), (EC.publish(),), "bad_signature", id="another key under that name"),
        pytest.param(ANOTHER.sign(CLAIMS, kid=None), (EC.publish(),), "bad_signature", id="another key, not named"),
        pytest.param(ANOTHER.sign(CLAIMS), (EC.publish(),), "unknown_key", id="a key that is not published"),
        pytest.param(EC.sign(CLAIMS), (), "unknown_key", id="no keys at all"),
        pytest.param(EC.sign(CLAIMS, kid=7), (EC.publish(),), "unknown_key", id="a name that is no text"),
        pytest.param(EC.sign(CLAIMS, kid=None), (EC.publish(), ANOTHER.publish()), "ambiguous_key", id="no key named, and several"),
        pytest.param(EC.sign(CLAIMS), (EC.publish(use="enc"),), "unknown_key", id="a key for encryption"),
        pytest.param(EC.sign(CLAIMS), (EC.publish(key_ops=["encrypt"]),), "unknown_key", id="a key for other operations"),
        pytest.param(EC.sign(CLAIMS), (EC.publish(alg="ES512"),), "unknown_key", id="a key for another algorithm"),
        pytest.param(RSA.sign(CLAIMS), (EC.publish(),), "unknown_key", id="a key of another kind"),
        pytest.param(EC.sign(CLAIMS, crit=["exp"], exp=1), (EC.publish(),), "bad_signature", id="an extension that must be understood"),
        pytest.param(SecretStr(f"{part({'alg': 'none'})}.{part(CLAIMS)}."), (EC.publish(),), "wrong_algorithm", id="none"),
        pytest.param(SecretStr(f"{part({'alg': 'None'})}.{part(CLAIMS)}."), (EC.publish(),), "wrong_algorithm", id="None"),
        pytest.param(
            SecretStr(f"{part({'alg': ['ES256']})}.{part(CLAIMS)}.c2ln"), (EC.publish(),), "wrong_algorithm", id="a list of algorithms"
        ),
        pytest.param(SecretStr(f"{part({})}.{part(CLAIMS)}.c2ln"), (EC.publish(),), "wrong_algorithm", id="no algorithm"),
        pytest.param(
            Signer(make_key("oct"), algorithm="HS256").sign(CLAIMS),
            (make_key("oct").as_dict(private=True) | {"kid": "first"},),
            "wrong_algorithm",
            id="a shared secret",
        ),
        pytest.param(SecretStr(EC.sign(CLAIMS).get_secret_value()[:-9] + "AAAAAAAA" + "A"), (EC.publish(),), "bad_signature", id="changed"),
        pytest.param(EC.sign(CLAIMS, jwk=ANOTHER.publish()), (ANOTHER.publish(kid="first"),), "bad_signature", id="brings its own key"),
        pytest.param(
            SecretStr(f"{part({'alg': 'ES256', 'kid': 'first'})}.{part(CLAIMS)}."), (EC.publish(),), "bad_signature", id="no signature"
        ),
        pytest.param(EC.sign({**CLAIMS, "x": "x" * 40000}), (EC.publish(),), "unreadable", id="too long"),
    ],
)
def test_a_signature_does_not_hold(token: SecretStr, keys: tuple[dict[str, Any], ...], reason: str) -> None:
    with pytest.raises(Unverifiable) as caught:
        verify(token, read_keys(publish(*keys)))
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="nothing"),
        pytest.param("opaque", id="no JWT"),
        pytest.param(f"{part({'alg': 'ES256'})}.{part(CLAIMS)}", id="two parts"),
        pytest.param(f"{part({'alg': 'ES256'})}.{part(CLAIMS)}.b.c.d", id="five parts: encrypted"),
        pytest.param(f"{part({'alg': 'ES256'})}.!!!.b", id="no base64url"),
        pytest.param(f"{part({'alg': 'ES256'})}.A.b", id="base64url that ends too early"),
        pytest.param(f"{part({'alg': 'ES256'})}.{part([CLAIMS])}.b", id="a list"),
        pytest.param(f"{part({'alg': 'ES256'})}.{part('alice')}.b", id="a string"),
        pytest.param(f"{part({'alg': 'ES256'})}._w.b", id="no JSON"),
        pytest.param(f"{part(['ES256'])}.{part(CLAIMS)}.b", id="a header that is a list"),
    ],
)
def test_what_is_no_jwt_is_refused(text: str) -> None:
    with pytest.raises(Unverifiable) as caught:
        verify(SecretStr(text), read_keys(publish(EC.publish())))
    assert caught.value.reason == "unreadable"


def test_keys_that_are_weak_or_broken_are_left_out() -> None:
    good = RSA.publish()
    odd: list[Any] = [
        {"kty": "RSA", "n": "AQAB" * 40, "e": "AQAB", "kid": "short"},
        {**good, "e": "AQAB" * 200},
        {"kty": "RSA", "kid": "empty"},
        {"kty": "EC", "crv": "P-256", "x": "AQAB", "y": "AQAB"},
        {"kty": "EC", "crv": "P-257", "x": "AQAB", "y": "AQAB"},
        {"kty": "oct", "k": "c2VjcmV0"},
        {"kty": ["RSA"]},
        "a key",
    ]
    keys = read_keys(publish(*odd, good))
    assert [key.kid for key in keys] == ["first"]
    assert not any(key.key.is_private for key in read_keys(publish(RSAKey.import_key(RSA.key.as_dict(private=True)).as_dict(private=True))))


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"keys": {}}', b"<html>"])
def test_what_is_no_set_of_keys_is_said_to_be_none(body: bytes) -> None:
    with pytest.raises(Unreadable):
        read_keys(body)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: (
            st.lists(inner) | st.dictionaries(st.sampled_from(["kty", "n", "e", "crv", "x", "y", "use", "key_ops", "kid", "alg"]), inner)
        ),
    )
)
def test_no_key_makes_reading_fail(key: object) -> None:
    read_keys(json.dumps({"keys": [key, {"kty": "EC", "crv": "P-256", "x": key, "y": key}, {"kty": key}]}).encode())


def test_nothing_shows_a_key_or_a_claim() -> None:
    keys = read_keys(publish(EC.publish()))
    assert "alice" not in repr(verify(EC.sign(CLAIMS), keys))
    assert str(EC.publish()["x"]) not in repr(keys)
