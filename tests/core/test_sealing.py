"""The profile `gk-tokenset v1`: its bytes, and that nothing opens that was touched or does not belong here."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.keywrap import aes_key_wrap
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jwe
from joserfc.jwk import OctKey
from joserfc.registry import HeaderParameter

from grantkeeper.core.keyring import Keyring
from grantkeeper.core.sealing import PROFILE, REQUEST, TOKENSET, Context, DataKey, Reason, hash_connector, open_sealed, prepare, seal
from grantkeeper.errors import Unsealable
from grantkeeper.resources import OAuthConnectorSpec

KEK, DATA_KEY, NONCE = bytes(range(32)), bytes(range(0x20, 0x40)), bytes(range(0x40, 0x4C))
KEYRING = Keyring.from_files({"kek": KEK, "active": b"kek"})
CONTEXT = Context(
    cluster="6f1b2d0e-0000-4000-8000-000000000001",
    namespace="team-a",
    name="alice-github",
    uid="6f1b2d0e-0000-4000-8000-000000000002",
    connector_hash="8RyuCjpV5wvNhEDHMOQgPEoHuhVikaXN2bHdJh11nZc",
)
PAYLOAD = (
    b'{"access_token":"at-17","refresh_token":"rt-17","token_type":"Bearer","scope":"repo",'
    b'"obtained_at":1767225600,"expires_at":1767229200}'
)
KNOWN = (
    "eyJhbGciOiJBMjU2S1ciLCJlbmMiOiJBMjU2R0NNIiwia2lkIjoiV3FqUFBSdkFQOG9ZYkFxQ3dNRXJoelRnLVF1YXotdkx4X2NlZjA3eWhPcyIsInR5cCI6ImdrLXRv"
    "a2Vuc2V0K2p3ZSIsImdrIjp7InYiOjEsImNsIjoiNmYxYjJkMGUtMDAwMC00MDAwLTgwMDAtMDAwMDAwMDAwMDAxIiwibnMiOiJ0ZWFtLWEiLCJuYW1lIjoiYWxpY2Ut"
    "Z2l0aHViIiwidWlkIjoiNmYxYjJkMGUtMDAwMC00MDAwLTgwMDAtMDAwMDAwMDAwMDAyIiwiY2giOiI4Unl1Q2pwVjV3dk5oRURITU9RZ1BFb0h1aFZpa2FYTjJiSGRK"
    "aDExblpjIiwiZ2VuIjoxN319.BPijw8MC07C36UsU3Pha0dppzXQFbteQfTy0n7J3maQQTbBY8pAa2w.QEFCQ0RFRkdISUpL.uXbc4jMTtngNRj9D4CRzSDHv6a7Ed4Xy"
    "TIzxZhKPvGqVZ3B1U7KDHG_lSams55HD_OyGW9iEj4kHlKxCHIcWdFSSzfo3Dx5xiXMhQRK4RBVtNEzMmZGX8TVQT_5FPDsWpDAvowvNqK3Rq8pnMWktLbQzhyTzrlmY9"
    "vD82kr5WpGae6YNzqg.OLugEAbCxJ4SvZdEFdcb5Q"
)
HEADER = base64.urlsafe_b64decode(KNOWN.partition(".")[0] + "===")
JOSE = jwe.JWERegistry(algorithms=["A256KW", "A256GCM"], header_registry={"gk": HeaderParameter("context", lambda _: None)})


def known_key() -> DataKey:
    return DataKey(KEYRING.active_kid, KEYRING.wrap(DATA_KEY), (DATA_KEY, NONCE))


def encode(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def reason_of(text: str, context: Context = CONTEXT, keyring: Keyring = KEYRING, *, typ: str = TOKENSET) -> str:
    with pytest.raises(Unsealable) as refused:
        open_sealed(text, context, keyring, typ=typ)
    assert refused.value.__cause__ is None
    assert "at-17" not in str(refused.value)
    return refused.value.reason


def opens(text: str) -> bool:
    try:
        open_sealed(text, CONTEXT, KEYRING)
    except Unsealable:
        return False
    return True


# What it is


def test_the_known_answer_is_sealed_byte_by_byte() -> None:
    assert seal(PAYLOAD, CONTEXT, generation=17, key=known_key()) == KNOWN


def test_the_known_answer_opens() -> None:
    opened = open_sealed(KNOWN, CONTEXT, KEYRING)
    assert (opened.payload, opened.generation, opened.kid) == (PAYLOAD, 17, KEYRING.active_kid)


def test_joserfc_opens_what_is_sealed_here() -> None:
    sealed = seal(PAYLOAD, CONTEXT, generation=3, key=prepare(KEYRING))
    opened = jwe.decrypt_compact(sealed, OctKey.import_key(KEK), registry=JOSE)
    assert opened.plaintext == PAYLOAD
    assert opened.protected["kid"] == OctKey.import_key(KEK).thumbprint()


def test_what_joserfc_seals_opens_here_in_any_order_of_members() -> None:
    header = json.loads(HEADER)
    for arranged in (header, dict(reversed(header.items())), {**header, "gk": dict(reversed(header["gk"].items()))}):
        sealed = jwe.encrypt_compact(arranged, PAYLOAD, OctKey.import_key(KEK), registry=JOSE)
        assert open_sealed(sealed, CONTEXT, KEYRING).payload == PAYLOAD


@pytest.mark.parametrize(
    "payload", [pytest.param(b"", id="nothing"), pytest.param(b"x", id="a byte"), pytest.param(b"x" * 49152, id="48 KiB")]
)
def test_what_is_sealed_opens(payload: bytes) -> None:
    assert open_sealed(seal(payload, CONTEXT, generation=1, key=prepare(KEYRING)), CONTEXT, KEYRING).payload == payload


def test_too_large_a_payload_is_refused_and_leaves_the_data_key_unspent() -> None:
    key = prepare(KEYRING)
    with pytest.raises(Unsealable, match=Reason.TOO_LARGE):
        seal(b"x" * 49153, CONTEXT, generation=1, key=key)
    assert open_sealed(seal(b"x", CONTEXT, generation=1, key=key), CONTEXT, KEYRING).payload == b"x"


def test_too_large_a_context_is_refused() -> None:
    with pytest.raises(Unsealable, match=Reason.TOO_LARGE):
        seal(b"x", replace(CONTEXT, name="n" * 1024), generation=1, key=prepare(KEYRING))


def test_a_data_key_seals_once() -> None:
    key = prepare(KEYRING)
    seal(b"x", CONTEXT, generation=1, key=key)
    with pytest.raises(RuntimeError, match="once"):
        seal(b"y", CONTEXT, generation=2, key=key)


def test_no_data_key_and_no_nonce_comes_twice() -> None:
    spent = [prepare(KEYRING).spend() for _ in range(100_000)]
    assert len({key for key, _ in spent}) == len({nonce for _, nonce in spent}) == len(spent)


def test_no_text_of_these_values_shows_what_they_hold() -> None:
    shown = repr(known_key()) + repr(open_sealed(KNOWN, CONTEXT, KEYRING)) + repr(KEYRING)
    assert "at-17" not in shown
    assert "\\x01" not in shown
    assert '!"#' not in shown


# Where it opens


@pytest.mark.parametrize("member", [field.name for field in fields(Context)])
def test_it_opens_only_where_it_belongs(member: str) -> None:
    elsewhere = replace(CONTEXT, **{member: "another"})
    assert reason_of(KNOWN, elsewhere) == (Reason.OTHER_CONNECTOR if member == "connector_hash" else Reason.OTHER_GRANT)


def test_no_set_opens_in_place_of_another() -> None:
    contexts = [
        replace(CONTEXT, cluster=cluster, namespace=namespace, name=name, uid=f"{cluster}-{namespace}-{name}")
        for cluster in ("one", "two")
        for namespace in ("team-a", "team-b")
        for name in ("alice", "bob")
    ]
    texts = [seal(c.uid.encode(), c, generation=1, key=prepare(KEYRING)) for c in contexts]
    for place, context in enumerate(contexts):
        for number, text in enumerate(texts):
            if place == number:
                assert open_sealed(text, context, KEYRING).payload == context.uid.encode()
            else:
                assert reason_of(text, context) == Reason.OTHER_GRANT


def test_a_request_does_not_pass_for_a_set_of_tokens_nor_the_reverse() -> None:
    request = seal(PAYLOAD, CONTEXT, generation=1, key=prepare(KEYRING), typ=REQUEST)
    assert open_sealed(request, CONTEXT, KEYRING, typ=REQUEST).payload == PAYLOAD
    assert reason_of(request) == Reason.MALFORMED
    assert reason_of(KNOWN, typ=REQUEST) == Reason.MALFORMED
    assert reason_of(KNOWN, typ=PROFILE) == Reason.MALFORMED


def test_after_a_rotation_the_old_key_still_opens_and_the_new_one_seals() -> None:
    rotated = Keyring.from_files({"kek": KEK, "next": DATA_KEY, "active": b"next"})
    assert open_sealed(KNOWN, CONTEXT, rotated).payload == PAYLOAD
    assert open_sealed(seal(b"x", CONTEXT, generation=1, key=prepare(rotated)), CONTEXT, rotated).kid == rotated.active_kid


def test_without_its_key_it_does_not_open_whatever_the_other_key_is_called() -> None:
    assert reason_of(KNOWN, keyring=Keyring.from_files({"kek": DATA_KEY, "active": b"kek"})) == Reason.UNKNOWN_KEY


# What was touched


def flips(value: bytes) -> Iterator[bytes]:
    for place in range(len(value)):
        for bit in range(8):
            yield value[:place] + bytes([value[place] ^ 1 << bit]) + value[place + 1 :]


def test_no_bit_of_the_text_can_be_changed() -> None:
    touched = [text.decode("latin-1") for text in flips(KNOWN.encode())]
    assert len(touched) == 8 * len(KNOWN)
    assert not [text for text in touched if opens(text)]


@pytest.mark.parametrize("part", range(5), ids=["header", "wrapped key", "nonce", "ciphertext", "tag"])
def test_no_bit_of_what_the_text_says_can_be_changed(part: int) -> None:
    parts = KNOWN.split(".")
    for changed in flips(decode(parts[part])):
        assert not opens(".".join([*parts[:part], encode(changed), *parts[part + 1 :]]))


def test_nothing_can_be_cut_off_or_put_on() -> None:
    for cut in range(len(KNOWN)):
        assert not opens(KNOWN[:cut])
        assert not opens(KNOWN[cut + 1 :])
        assert not opens(KNOWN[:cut] + KNOWN[cut + 1 :])
    for more in map(chr, range(256)):
        assert not opens(KNOWN + more)
        assert not opens(more + KNOWN)


@pytest.mark.parametrize("part", range(5), ids=["header", "wrapped key", "nonce", "ciphertext", "tag"])
def test_no_part_can_be_shortened_or_taken_from_another_set(part: int) -> None:
    parts, others = KNOWN.split("."), seal(PAYLOAD, CONTEXT, generation=18, key=prepare(KEYRING)).split(".")
    value = decode(parts[part])
    for shortened in (value[:length] for length in range(len(value))):
        assert not opens(".".join([*parts[:part], encode(shortened), *parts[part + 1 :]]))
    assert not opens(".".join([*parts[:part], others[part], *parts[part + 1 :]]))


def test_a_spelling_with_stray_bits_is_refused() -> None:
    # The last character of a tag of 16 bytes carries four bits that decode to nothing.
    assert KNOWN.endswith("Q")
    assert decode(KNOWN.split(".")[4]) == decode(KNOWN.split(".")[4][:-1] + "R")
    assert reason_of(KNOWN[:-1] + "R") == Reason.MALFORMED


# What the profile does not know


def with_header(change: Callable[[dict[str, Any]], object], *, kek: bytes = KEK) -> str:
    """A text that is sealed rightly under a header that is not."""
    header = json.loads(HEADER)
    change(header)
    return with_raw_header(json.dumps(header, separators=(",", ":")).encode(), kek=kek)


def with_raw_header(header: bytes, *, kek: bytes = KEK) -> str:
    protected = encode(header)
    sealed = AESGCM(DATA_KEY).encrypt(NONCE, PAYLOAD, protected.encode())
    return ".".join((protected, encode(aes_key_wrap(kek, DATA_KEY)), encode(NONCE), encode(sealed[:-16]), encode(sealed[-16:])))


def test_the_builder_of_these_cases_builds_what_opens() -> None:
    assert with_header(lambda _: None) == KNOWN


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        pytest.param(lambda h: h.update(alg="dir"), Reason.MALFORMED, id="another alg"),
        pytest.param(lambda h: h.update(alg="none"), Reason.MALFORMED, id="alg none"),
        pytest.param(lambda h: h.update(enc="A128GCM"), Reason.MALFORMED, id="another enc"),
        pytest.param(lambda h: h.update(zip="DEF"), Reason.MALFORMED, id="compression"),
        pytest.param(lambda h: h.update(crit=["gk"]), Reason.MALFORMED, id="crit"),
        pytest.param(lambda h: h.update(p2c=10**9), Reason.MALFORMED, id="work for the opener"),
        pytest.param(lambda h: h.update(jku="https://evil.example"), Reason.MALFORMED, id="a key from elsewhere"),
        pytest.param(lambda h: h.update(typ="JWE"), Reason.MALFORMED, id="another typ"),
        pytest.param(lambda h: h.pop("typ"), Reason.MALFORMED, id="no typ"),
        pytest.param(lambda h: h.update(kid=None), Reason.MALFORMED, id="a kid that is null"),
        pytest.param(lambda h: h.update(kid="another"), Reason.UNKNOWN_KEY, id="a kid that is not held"),
        pytest.param(lambda h: h.update(gk=[]), Reason.MALFORMED, id="a context that is a list"),
        pytest.param(lambda h: h["gk"].pop("uid"), Reason.MALFORMED, id="no uid"),
        pytest.param(lambda h: h["gk"].update(more="x"), Reason.MALFORMED, id="a member more in the context"),
        pytest.param(lambda h: h["gk"].update(v=2), Reason.UNKNOWN_VERSION, id="another version"),
        pytest.param(lambda h: h["gk"].update(v=True), Reason.MALFORMED, id="a version that only equals one"),
        pytest.param(lambda h: h["gk"].update(v=1.0), Reason.MALFORMED, id="a version with a fraction"),
        pytest.param(lambda h: h["gk"].update(gen=True), Reason.MALFORMED, id="a generation that is no number"),
        pytest.param(lambda h: h["gk"].update(gen="17"), Reason.MALFORMED, id="a generation in a string"),
        pytest.param(lambda h: h["gk"].update(gen=-1), Reason.MALFORMED, id="a generation below zero"),
        pytest.param(lambda h: h["gk"].update(gen=float("nan")), Reason.MALFORMED, id="not a number, which is not JSON"),
        pytest.param(lambda h: h["gk"].update(uid="x"), Reason.OTHER_GRANT, id="another uid"),
        pytest.param(lambda h: h["gk"].update(ch="x"), Reason.OTHER_CONNECTOR, id="another connector"),
        pytest.param(lambda h: h["gk"].update(name="n" * 1024), Reason.TOO_LARGE, id="a header of more than 1 KiB"),
    ],
)
def test_a_header_that_is_not_the_profiles_is_refused_though_sealed_rightly(
    change: Callable[[dict[str, Any]], object], reason: Reason
) -> None:
    assert reason_of(with_header(change)) == reason


def doubled(header: bytes, member: bytes) -> bytes:
    return header[:-1] + b"," + member + b"}"


@pytest.mark.parametrize(
    "header",
    [
        pytest.param(doubled(HEADER, b'"alg":"A256KW"'), id="a member twice"),
        pytest.param(HEADER.replace(b'"v":1', b'"v":1,"v":1'), id="a member of the context twice"),
        pytest.param(b"\xef\xbb\xbf" + HEADER, id="a byte order mark"),
        pytest.param(HEADER.decode().encode("utf-16"), id="UTF-16"),
        pytest.param(HEADER + b"{}", id="more after the end"),
        pytest.param(b"[" * 1000, id="nested without end"),
        pytest.param(b"[]", id="a list"),
        pytest.param(b"null", id="null"),
        pytest.param(b"", id="nothing"),
        pytest.param(b"\xff" * 16, id="not UTF-8"),
    ],
)
def test_a_header_that_is_not_one_json_object_of_one_spelling_is_refused(header: bytes) -> None:
    assert reason_of(with_raw_header(header)) in {Reason.MALFORMED, Reason.TOO_LARGE}


def test_a_text_that_names_a_held_key_but_was_wrapped_by_another_is_refused() -> None:
    assert reason_of(with_header(lambda _: None, kek=DATA_KEY)) == Reason.CHANGED


@pytest.mark.parametrize(
    ("part", "length"), [pytest.param(1, 32, id="wrapped key"), pytest.param(2, 8, id="nonce"), pytest.param(4, 12, id="tag")]
)
def test_a_part_of_another_length_is_refused_before_any_key_is_used(part: int, length: int) -> None:
    parts = KNOWN.split(".")
    parts[part] = encode(bytes(length))
    assert reason_of(".".join(parts)) == Reason.MALFORMED


def test_the_checks_come_in_the_order_of_the_profile() -> None:
    everything_wrong = with_header(lambda h: (h.update(kid="x"), h["gk"].update(v=2, uid="x", ch="x")))
    assert reason_of(everything_wrong) == Reason.UNKNOWN_KEY
    assert reason_of(with_header(lambda h: h["gk"].update(v=2, uid="x", ch="x"))) == Reason.UNKNOWN_VERSION
    assert reason_of(with_header(lambda h: h["gk"].update(uid="x", ch="x"))) == Reason.OTHER_GRANT
    assert reason_of("a" * 70_000) == Reason.TOO_LARGE
    assert reason_of("a.b") == Reason.MALFORMED
    assert reason_of(f"{encode(HEADER)}.AAAA.AAAA.{'A' * 65_540}.AAAA") == Reason.TOO_LARGE


@given(st.one_of(st.text(max_size=200), st.lists(st.binary(max_size=40).map(encode), min_size=5, max_size=5).map(".".join)))
def test_whatever_comes_there_is_one_way_to_fail(text: str) -> None:
    assert not opens(text)


# What binds a set to its server


def connector(**given: Any) -> OAuthConnectorSpec:
    return OAuthConnectorSpec.model_validate({"clientID": "client", "consent": {"link": "Status"}, **given})


ENDPOINTS = {"authorization": "https://as.example/authorize", "token": "https://as.example/token"}


def test_the_hash_of_a_connector_is_that_of_its_canonical_json() -> None:
    text = b'{"clientID":"client","issuer":"https://as.example"}'
    assert hash_connector(connector(issuer="https://as.example")) == encode(hashlib.sha256(text).digest())
    text = b'{"clientID":"client","endpoints":{"authorization":"https://as.example/authorize","token":"https://as.example/token"}}'
    assert hash_connector(connector(endpoints=ENDPOINTS)) == encode(hashlib.sha256(text).digest())


@pytest.mark.parametrize(
    ("change", "same"),
    [
        pytest.param({"issuer": "https://as.example/"}, False, id="another issuer, if only by a slash"),
        pytest.param({"clientID": "other"}, False, id="another client"),
        pytest.param({"issuer": None, "endpoints": ENDPOINTS}, False, id="endpoints instead of an issuer"),
        pytest.param({"scopes": ["a"]}, True, id="other scopes"),
        pytest.param({"clientSecretRef": {"name": "other"}}, True, id="another client secret"),
        pytest.param({"refresh": {"lifetimePercent": 50}}, True, id="another time to refresh"),
        pytest.param({"endpoints": None}, True, id="null is not set"),
    ],
)
def test_what_makes_another_connector(change: dict[str, Any], same: bool) -> None:
    before = connector(issuer="https://as.example")
    assert (hash_connector(connector(**{"issuer": "https://as.example", **change})) == hash_connector(before)) is same


def test_one_endpoint_more_makes_another_connector() -> None:
    for endpoint in ("revocation", "userinfo"):
        more = {**ENDPOINTS, endpoint: "https://as.example/another"}
        assert hash_connector(connector(endpoints=ENDPOINTS)) != hash_connector(connector(endpoints=more))
