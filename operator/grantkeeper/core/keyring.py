"""The key-encryption keys (KEKs) that seal data keys, and the one of them that seals now.

Keys are known by their thumbprint (RFC 7638), never by the name of their file: a name that is given to another key later can do no
harm, and what was sealed says which key opens it. Data keys are wrapped by AES key wrap (RFC 3394), which needs no nonce, so a KEK
that lives for years has none to repeat.

What comes in is checked before anything is sealed with it, and every refusal says what to do without showing a byte of a key.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

from cryptography.hazmat.primitives.keywrap import aes_key_unwrap, aes_key_wrap

from grantkeeper.errors import KeyringError

KEY_BYTES = 32
ACTIVE = "active"
"""The entry of a keyring that holds no key but the name of the one that seals."""


@dataclass(frozen=True, slots=True)
class Keyring:
    """All KEKs by their thumbprint. Its text shows thumbprints only."""

    active_kid: str
    _keys: Mapping[str, bytes] = field(repr=False)

    @classmethod
    def from_files(cls, files: Mapping[str, bytes]) -> Self:
        """Read one file per key, 32 bytes raw or in base64, and `active`, the name of the one that seals; KeyringError otherwise."""
        keys: dict[str, bytes] = {}
        kids: dict[str, str] = {}
        for name, content in sorted(files.items()):
            if name == ACTIVE:
                continue
            key = _read_key(name, content)
            kid = thumbprint(key)
            if kid in keys:
                twin = next(other for other in kids if kids[other] == kid)
                raise KeyringError(f"The keyring's {twin!r} and {name!r} are the same key: remove one and let {ACTIVE!r} name the other.")
            keys[kid], kids[name] = key, kid
        return cls(kids[_read_active(files.get(ACTIVE), tuple(kids))], keys)

    @property
    def kids(self) -> frozenset[str]:
        """The thumbprints of every key that opens."""
        return frozenset(self._keys)

    def wrap(self, data_key: bytes) -> bytes:
        """Wrap a data key of 32 bytes with the key that seals; 40 bytes."""
        return aes_key_wrap(self._keys[self.active_kid], data_key)

    def unwrap(self, kid: str, wrapped: bytes) -> bytes:
        """Unwrap with the key `kid`, which must be held; cryptography's InvalidUnwrap where it was not wrapped by it."""
        return aes_key_unwrap(self._keys[kid], wrapped)


def thumbprint(key: bytes) -> str:
    """The `kid` of an octet key: RFC 7638 with SHA-256, base64url."""
    return _base64url(hashlib.sha256(b'{"k":"%s","kty":"oct"}' % _base64url(key).encode()).digest())


def _base64url(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def _read_key(name: str, content: bytes) -> bytes:
    key = content if len(content) == KEY_BYTES else _from_base64(content)
    if len(key) != KEY_BYTES:
        raise KeyringError(
            f"The keyring's {name!r} is not {KEY_BYTES} bytes, raw or in base64: put the right key back from its backup, "
            f"or, where nothing was sealed with it, put the output of `openssl rand -base64 {KEY_BYTES}` there."
        )
    if len(set(key)) == 1:
        raise KeyringError(
            f"The keyring's {name!r} is one byte over and over, which anybody can guess: "
            f"put the output of `openssl rand -base64 {KEY_BYTES}` there."
        )
    return key


def _from_base64(content: bytes) -> bytes:
    """Standard or urlsafe, padded or not, with or without a newline at the end; empty where it is not base64."""
    text = content.rstrip(b"\r\n").rstrip(b"=").translate(bytes.maketrans(b"-_", b"+/"))
    try:
        return binascii.a2b_base64(text + b"=" * (-len(text) % 4), strict_mode=True)
    except binascii.Error:
        return b""


def _read_active(content: bytes | None, names: tuple[str, ...]) -> str:
    if not names:
        raise KeyringError(
            f"The keyring holds no key: put the output of `openssl rand -base64 {KEY_BYTES}` under a name such as 'key-1', "
            f"and that name under {ACTIVE!r}."
        )
    choices = ", ".join(map(repr, names))
    if content is None:
        raise KeyringError(f"The keyring does not say which key seals: set {ACTIVE!r} to the name of one of its keys ({choices}).")
    named = content.rstrip(b"\r\n").decode(errors="replace")
    if named not in names:
        # What stands there is not repeated: it may be a key that was put under the wrong name.
        raise KeyringError(f"The keyring's {ACTIVE!r} names none of its keys: set it to one of {choices}.")
    return named
