"""Seal a set of tokens so that it opens only where it belongs: the profile `gk-tokenset v1`, byte by byte.

A sealed text is a JWE in compact serialization (RFC 7516), so any JOSE tool opens it when the KEK is at hand; of the agility of that
format nothing is left. One `alg` (A256KW), one `enc` (A256GCM), exactly the members below, and the context, which says whose set it
is, inside the header that the tag covers. Opening compares that context with the object in hand; nothing is learned from the text.

    {"alg":"A256KW","enc":"A256GCM","kid":…,"typ":"gk-tokenset+jwe",
     "gk":{"v":1,"cl":cluster,"ns":namespace,"name":name,"uid":uid,"ch":connector_hash,"gen":generation}}

It is written on two primitives of `cryptography` and not on joserfc, which makes its data key within the call that seals: here the key
is wrapped beforehand, so that a key service can be asked before a refresh token is spent. And the order of opening is the point of the
profile; it reads best where nothing else is. A test holds both directions together with joserfc.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from binascii import a2b_base64, b2a_base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap

from grantkeeper.core.canonical import canonical_json
from grantkeeper.core.keyring import KEY_BYTES, Keyring
from grantkeeper.errors import Unsealable
from grantkeeper.resources import OAuthConnectorSpec

TOKENSET = "gk-tokenset+jwe"
REQUEST = "gk-request+jwe"
PROFILE = "gk-profile+jwe"

_ALG, _ENC, _VERSION, _PARTS = "A256KW", "A256GCM", 1, 5
_HEADER_SHAPE = {"alg": str, "enc": str, "kid": str, "typ": str, "gk": dict}
_CONTEXT_SHAPE = {"v": int, "cl": str, "ns": str, "name": str, "uid": str, "ch": str, "gen": int}

_HEADER_BYTES, _PAYLOAD_BYTES = 1024, 48 * 1024
_WRAPPED_BYTES, _IV_BYTES, _TAG_BYTES = KEY_BYTES + 8, 12, 16


def _encoded_size(*sizes: int) -> int:
    """Characters of so many bytes in base64url, joined by dots."""
    return sum((size * 8 + 5) // 6 for size in sizes) + len(sizes) - 1


_HEADER_CHARACTERS, _PAYLOAD_CHARACTERS = _encoded_size(_HEADER_BYTES), _encoded_size(_PAYLOAD_BYTES)
_SEALED_CHARACTERS = _encoded_size(_HEADER_BYTES, _WRAPPED_BYTES, _IV_BYTES, _PAYLOAD_BYTES, _TAG_BYTES)

_OTHER_ALPHABET = bytes.maketrans(b"+/-_", b"-_+/")
"""From either base64 alphabet to the other; what is spelt in the wrong one comes out in the wrong one."""


class Reason(StrEnum):
    """What is not as it should be where a text does not open: enough to act on, nothing to attack with."""

    TOO_LARGE = "size"
    MALFORMED = "form"
    UNKNOWN_KEY = "key"
    UNKNOWN_VERSION = "version"
    OTHER_GRANT = "grant"
    OTHER_CONNECTOR = "connector"
    CHANGED = "content"


@dataclass(frozen=True, slots=True)
class Context:
    """Whose set it is: the UID of namespace kube-system, the grant's identity, and the hash of the connector's server and client."""

    cluster: str
    namespace: str
    name: str
    uid: str
    connector_hash: str


@dataclass(slots=True)
class DataKey:
    """A data key with its nonce, already wrapped, good for one seal: a second one would repeat the nonce."""

    kid: str
    wrapped: bytes = field(repr=False)
    _unspent: tuple[bytes, bytes] | None = field(repr=False)

    def spend(self) -> tuple[bytes, bytes]:
        """The key and its nonce, once; RuntimeError after that."""
        if self._unspent is None:
            raise RuntimeError("a data key seals once")
        unspent, self._unspent = self._unspent, None
        return unspent


@dataclass(frozen=True, slots=True)
class Opened:
    """What was sealed, in which generation, under which key."""

    payload: bytes = field(repr=False)
    generation: int
    kid: str


def prepare(keyring: Keyring) -> DataKey:
    """Make a data key and wrap it: before a token is spent, so that nothing has to be asked for afterwards."""
    key = secrets.token_bytes(KEY_BYTES)
    return DataKey(keyring.active_kid, keyring.wrap(key), (key, secrets.token_bytes(_IV_BYTES)))


def seal(payload: bytes, context: Context, *, generation: int, key: DataKey, typ: str = TOKENSET) -> str:
    """Seal at most 48 KiB for `context`; Unsealable beyond, with the data key still unspent."""
    header = _write_header(
        {
            "alg": _ALG,
            "enc": _ENC,
            "kid": key.kid,
            "typ": typ,
            "gk": {
                "v": _VERSION,
                "cl": context.cluster,
                "ns": context.namespace,
                "name": context.name,
                "uid": context.uid,
                "ch": context.connector_hash,
                "gen": generation,
            },
        }
    ).encode()
    if len(header) > _HEADER_BYTES or len(payload) > _PAYLOAD_BYTES:
        raise Unsealable(Reason.TOO_LARGE)
    data_key, iv = key.spend()
    protected = _encode(header)
    sealed = AESGCM(data_key).encrypt(iv, payload, protected.encode())
    rest = (key.wrapped, iv, sealed[:-_TAG_BYTES], sealed[-_TAG_BYTES:])
    return ".".join((protected, *map(_encode, rest)))


def open_sealed(text: str, context: Context, keyring: Keyring, *, typ: str = TOKENSET) -> Opened:
    """Open `text` where it belongs; Unsealable otherwise. The checks come in the order of their cost and of what they presume."""
    parts = _split(text)
    raw_header, wrapped, iv, ciphertext, tag = map(_decode, parts)
    header = _read_header(raw_header, typ)
    kid, held = header["kid"], header["gk"]
    if kid not in keyring.kids:
        raise Unsealable(Reason.UNKNOWN_KEY)
    if held["v"] != _VERSION:
        raise Unsealable(Reason.UNKNOWN_VERSION)
    if (len(wrapped), len(iv), len(tag)) != (_WRAPPED_BYTES, _IV_BYTES, _TAG_BYTES):
        raise Unsealable(Reason.MALFORMED)
    if (held["cl"], held["ns"], held["name"], held["uid"]) != (context.cluster, context.namespace, context.name, context.uid):
        raise Unsealable(Reason.OTHER_GRANT)
    if held["ch"] != context.connector_hash:
        raise Unsealable(Reason.OTHER_CONNECTOR)
    try:
        payload = AESGCM(keyring.unwrap(kid, wrapped)).decrypt(iv, ciphertext + tag, parts[0].encode())
    except (InvalidUnwrap, InvalidTag):
        raise Unsealable(Reason.CHANGED) from None
    return Opened(payload, held["gen"], kid)


def hash_connector(spec: OAuthConnectorSpec) -> str:
    """What binds a set to its server and client: SHA-256, base64url, over the RFC 8785 JSON of what identifies them in the spec.

    All of it is immutable and none of it is discovered, so a set opens without asking anybody.
    """
    return _hash_connector(_This(spec))


class _This:
    """A spec as this very object. Specs are frozen, so it need not be hashed again for every set that is opened with it."""

    __slots__ = ("spec",)

    def __init__(self, spec: OAuthConnectorSpec) -> None:
        self.spec = spec

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _This) and self.spec is other.spec

    def __hash__(self) -> int:
        return id(self.spec)


@lru_cache(maxsize=256)
def _hash_connector(this: _This) -> str:
    spec = this.spec
    identity = {"provider", "parameters", "issuer", "endpoints", "client_id"}
    members = spec.model_dump(mode="json", by_alias=True, include=identity, exclude_defaults=True)
    return _encode(hashlib.sha256(canonical_json(members)).digest())


def _split(text: str) -> list[str]:
    if len(text) > _SEALED_CHARACTERS:
        raise Unsealable(Reason.TOO_LARGE)
    parts = text.split(".")
    if len(parts) != _PARTS:
        raise Unsealable(Reason.MALFORMED)
    if len(parts[0]) > _HEADER_CHARACTERS or len(parts[3]) > _PAYLOAD_CHARACTERS:
        raise Unsealable(Reason.TOO_LARGE)
    return parts


def _read_header(raw: bytes, typ: str) -> dict[str, Any]:
    """Exactly the members of the profile, each of its type, none of them twice; the constants as they must be."""
    try:
        header = _headers.decode(raw.decode())
    except (ValueError, RecursionError):
        raise Unsealable(Reason.MALFORMED) from None
    if not _has_shape(header, _HEADER_SHAPE) or not _has_shape(header["gk"], _CONTEXT_SHAPE) or header["gk"]["gen"] < 0:
        raise Unsealable(Reason.MALFORMED)
    if (header["alg"], header["enc"], header["typ"]) != (_ALG, _ENC, typ):
        raise Unsealable(Reason.MALFORMED)
    return dict(header)


def _once(members: list[tuple[str, Any]]) -> dict[str, Any]:
    held = dict(members)
    if len(held) != len(members):
        raise ValueError("a member twice")
    return held


_headers = json.JSONDecoder(object_pairs_hook=_once)
_write_header = json.JSONEncoder(separators=(",", ":")).encode


def _has_shape(value: object, shape: Mapping[str, type]) -> bool:
    """Whether the members and their types are exactly these; a bool is no int here."""
    return isinstance(value, dict) and {name: type(held) for name, held in value.items()} == shape


def _encode(value: bytes) -> str:
    return b2a_base64(value, newline=False).rstrip(b"=").translate(_OTHER_ALPHABET).decode()


def _decode(text: str) -> bytes:
    """Base64url of one spelling only: whatever does not come out the same when it is encoded again is refused."""
    try:
        plain = text.encode().translate(_OTHER_ALPHABET)
        value = a2b_base64(plain + b"=" * (-len(plain) % 4))
    except ValueError:
        raise Unsealable(Reason.MALFORMED) from None
    if b2a_base64(value, newline=False).rstrip(b"=") != plain:
        raise Unsealable(Reason.MALFORMED)
    return value
