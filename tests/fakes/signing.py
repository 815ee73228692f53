"""The keys of an OpenID provider, for tests: a JWK Set to publish and ID tokens to sign."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from functools import cache
from typing import Any

from joserfc import jws
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey
from pydantic import SecretStr

PrivateKey = ECKey | OctKey | OKPKey | RSAKey


@cache
def make_key(kty: str = "EC", *, number: int = 1, curve: str | None = None) -> PrivateKey:
    """A private key; the same one for the same arguments, another one for another `number`."""
    del number
    match kty:
        case "RSA":
            return RSAKey.generate_key(2048)
        case "EC":
            return ECKey.generate_key(curve or "P-256")
        case "OKP":
            return OKPKey.generate_key("Ed25519")
        case _:
            return OctKey.generate_key(256)


@dataclass(frozen=True)
class Signer:
    """One key under the name that its server gives it."""

    key: PrivateKey
    kid: str | None = "first"
    algorithm: str = "ES256"

    def publish(self, **members: Any) -> dict[str, Any]:
        """The public key as a JWK; `members` are said of it besides, None leaves one out."""
        jwk = {**self.key.as_dict(private=False), "kid": self.kid, "use": "sig", "alg": self.algorithm, **members}
        return {name: value for name, value in jwk.items() if value is not None}

    def sign(self, claims: object, **header: Any) -> SecretStr:
        """A JWS over the claims; `header` overrides its members, None leaves one out."""
        protected = {"alg": self.algorithm, "kid": self.kid, **header}
        protected = {name: value for name, value in protected.items() if value is not None}
        signed = f"{_encode(json.dumps(protected).encode())}.{_encode(json.dumps(claims).encode())}"
        signature = jws.JWSRegistry.algorithms[self.algorithm].sign(signed.encode(), self.key)
        return SecretStr(f"{signed}.{_encode(signature)}")


def publish(*jwks: dict[str, Any]) -> bytes:
    """A JWK Set document."""
    return json.dumps({"keys": list(jwks)}).encode()


def _encode(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).decode().rstrip("=")
