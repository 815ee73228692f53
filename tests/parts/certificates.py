"""Certificates made on the spot: an authority of a test's own, and what it issues. Nobody else trusts them."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

LIFETIME = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class CA:
    """A certificate authority; `path` is its certificate in PEM."""

    path: Path
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    def issue(self, hosts: Sequence[str], *, lifetime: timedelta = LIFETIME) -> tuple[Path, Path]:
        """Issue a server certificate for these names and addresses; return the paths of certificate and key."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = (
            _begin(hosts[0], key, issuer=self.certificate.subject, lifetime=lifetime)
            .add_extension(x509.SubjectAlternativeName([_name_of(host) for host in hosts]), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False)
            .sign(self.key, hashes.SHA256())
        )
        stem = self.path.parent / hosts[0].replace(":", "_").replace("*", "_")
        return _write(certificate, stem.with_name(stem.name + ".pem")), _write_key(key, stem.with_name(stem.name + ".key"))


def make_ca(directory: Path) -> CA:
    """Make an authority whose files live in `directory`."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = "a test's own authority"
    certificate = (
        _begin(name, key, issuer=_subject(name))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(ca=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return CA(_write(certificate, directory / "ca.pem"), certificate, key)


def _begin(name: str, key: ec.EllipticCurvePrivateKey, *, issuer: x509.Name, lifetime: timedelta = LIFETIME) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return x509.CertificateBuilder(
        issuer, _subject(name), key.public_key(), x509.random_serial_number(), now - timedelta(hours=1), now + lifetime
    )


def _subject(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _name_of(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _usage(*, ca: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=ca,
        crl_sign=ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _write(certificate: x509.Certificate, path: Path) -> Path:
    path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    return path


def _write_key(key: ec.EllipticCurvePrivateKey, path: Path) -> Path:
    path.touch(mode=0o600)
    path.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    return path
