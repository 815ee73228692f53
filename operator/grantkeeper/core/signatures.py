"""Check the signature of a JWS with keys that are given: the one place that knows the JOSE library.

What the token says of itself chooses nothing but which of our algorithms and which of the server's own keys: `none` and shared
secrets are no algorithms here, and keys that a header brings along are never looked at (RFC 8725 sections 3.1 and 3.10).
"""

from __future__ import annotations

import base64
import re
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from joserfc import jws
from joserfc.errors import JoseError, SecurityWarning
from joserfc.jwk import ECKey, Key, OKPKey, RSAKey
from pydantic import SecretStr

from grantkeeper.core.documents import Unreadable, read_object
from grantkeeper.errors import ProviderError

_COMPACT = re.compile(r"([\w-]+)\.([\w-]+)\.[\w-]*", re.ASCII)
_HEADER_LIMIT, _TOKEN_LIMIT = 8 * 1024, 32 * 1024
_KEYS_LIMIT = 64
_MODULUS_BITS = range(2048, 8193)
_EXPONENT_LENGTH = 8
"""In base64url; a longer one only costs time."""


@dataclass(frozen=True, slots=True)
class _Algorithm:
    kty: str
    digest: str
    """The hash of `at_hash` that goes with it (OpenID Connect Core section 3.1.3.6)."""
    curve: str | None = None


_ALGORITHMS: Mapping[str, _Algorithm] = {
    **{f"{family}{bits}": _Algorithm("RSA", f"sha{bits}") for family in ("RS", "PS") for bits in (256, 384, 512)},
    "ES256": _Algorithm("EC", "sha256", "P-256"),
    "ES384": _Algorithm("EC", "sha384", "P-384"),
    "ES512": _Algorithm("EC", "sha512", "P-521"),
    "EdDSA": _Algorithm("OKP", "sha512", "Ed25519"),
    "Ed25519": _Algorithm("OKP", "sha512", "Ed25519"),
}
_CURVES = {(algorithm.kty, algorithm.curve) for algorithm in _ALGORITHMS.values()}
_REGISTRY = jws.JWSRegistry(algorithms=list(_ALGORITHMS), strict_check_header=False)
_REGISTRY.max_header_length, _REGISTRY.max_payload_length = _HEADER_LIMIT, _TOKEN_LIMIT


class Unverifiable(ProviderError):
    """A signature that does not hold; `reason` is one of: unreadable, wrong_algorithm, unknown_key, ambiguous_key, bad_signature."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"the signature does not hold: {reason}")
        self.reason = reason


@dataclass(frozen=True, slots=True)
class SigningKey:
    """One public key of a server, and what the server says that it is for."""

    kid: str | None
    algorithm: str | None
    kty: str
    curve: str | None
    key: Key = field(repr=False)


SigningKeys = tuple[SigningKey, ...]


@dataclass(frozen=True, slots=True)
class Verified:
    """What was signed, and the name of the hash that belongs to the algorithm."""

    claims: Mapping[str, object] = field(repr=False)
    digest: str


def read_keys(body: bytes) -> SigningKeys:
    """The keys of a JWK Set that may verify signatures (RFC 7517); what else is in it is left out. Unreadable where it is none."""
    members = read_object(body).get("keys")
    if not isinstance(members, list):
        raise Unreadable("JSON, but not a set of keys")
    keys = (_read_key(member) for member in members[:_KEYS_LIMIT] if isinstance(member, dict))
    return tuple(key for key in keys if key is not None)


def verify(token: SecretStr, keys: SigningKeys) -> Verified:
    """The claims of a JWT whose signature one of these keys made (RFC 7515 section 5.2); Unverifiable where none did."""
    text = token.get_secret_value()
    parts = _COMPACT.fullmatch(text)
    if parts is None or len(text) > _TOKEN_LIMIT:
        raise Unverifiable("unreadable")
    header, claims = _read_part(parts[1]), _read_part(parts[2])
    name = header.get("alg")
    algorithm = _ALGORITHMS.get(name) if isinstance(name, str) else None
    if algorithm is None:
        raise Unverifiable("wrong_algorithm")
    fitting = [key for key in keys if (key.kty, key.curve) == (algorithm.kty, algorithm.curve) and key.algorithm in {None, name}]
    if not any(_holds(text, key) for key in _choose(fitting, header.get("kid"))):
        raise Unverifiable("bad_signature")
    return Verified(claims, algorithm.digest)


def _choose(keys: list[SigningKey], kid: object) -> list[SigningKey]:
    """The keys that bear the name; where none is named, the only one there is (OpenID Connect Core section 10.1)."""
    if kid is None and len(keys) > 1:
        raise Unverifiable("ambiguous_key")
    chosen = keys if kid is None else [key for key in keys if key.kid == kid]
    if not chosen:
        raise Unverifiable("unknown_key")
    return chosen


def _holds(text: str, key: SigningKey) -> bool:
    try:
        with warnings.catch_warnings():
            # RFC 9864 deprecates the name EdDSA, because it leaves the curve open; here the key has settled it.
            warnings.simplefilter("ignore", SecurityWarning)
            jws.deserialize_compact(text, key.key, registry=_REGISTRY)
    except (JoseError, ValueError):
        return False
    return True


def _read_part(encoded: str) -> Mapping[str, object]:
    try:
        return read_object(_decode(encoded))
    except (Unreadable, ValueError):
        raise Unverifiable("unreadable") from None


_READERS: Mapping[str, tuple[frozenset[str], Callable[[Any], Key]]] = {
    "RSA": (frozenset({"n", "e"}), RSAKey.import_key),
    "EC": (frozenset({"crv", "x", "y"}), ECKey.import_key),
    "OKP": (frozenset({"crv", "x"}), OKPKey.import_key),
}


def _read_key(jwk: Mapping[str, object]) -> SigningKey | None:
    """A key that may verify; its public members alone are read, even where a server shows the private ones."""
    kty, kid, algorithm, curve = (_text(jwk.get(member)) for member in ("kty", "kid", "alg", "crv"))
    operations = jwk.get("key_ops")
    is_for_this = jwk.get("use", "sig") == "sig" and (not isinstance(operations, list) or "verify" in operations)
    if kty is None or kty not in _READERS or not is_for_this:
        return None
    members, read = _READERS[kty]
    public = {member: str(jwk[member]) for member in members if isinstance(jwk.get(member), str)}
    is_strong = _is_strong(str(public.get("n")), str(public.get("e"))) if kty == "RSA" else (kty, curve) in _CURVES
    if public.keys() != members or not is_strong:
        return None
    try:
        return SigningKey(kid, algorithm, kty, public.get("crv"), read({"kty": kty, **public}))
    except (JoseError, ValueError):
        return None


def _is_strong(modulus: str, exponent: str) -> bool:
    """RFC 7518 section 3.3 asks for 2048 bits."""
    try:
        return int.from_bytes(_decode(modulus)).bit_length() in _MODULUS_BITS and len(exponent) <= _EXPONENT_LENGTH
    except ValueError:
        return False


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
