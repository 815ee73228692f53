"""Whose certificates are believed: the system's authorities, and for one connector those in its caBundle besides."""

from __future__ import annotations

import ssl
from functools import lru_cache

from grantkeeper.errors import ProviderDistrusted

_MISSING_AUTHORITY = frozenset({
    18,  # a self-signed certificate
    19,  # a self-signed certificate in the chain
    20,  # no certificate of the issuer at hand
    21,  # a single certificate that cannot be verified
})  # fmt: skip
"""OpenSSL's codes for "signed by somebody unknown", the ones that another authority would cure."""


@lru_cache(maxsize=32)  # the system's authorities take most of a megabyte each time
def context(ca_bundle: bytes | None) -> ssl.SSLContext:
    """TLS 1.2 or newer, certificate and host name verified; made once for each bundle, since reading the system's takes long.

    A bare context, because `ssl.create_default_context` would obey SSLKEYLOGFILE and write session keys to a file.
    """
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    # What Python 3.13 sets by itself, so that no version of Python trusts more than another.
    made.verify_flags |= ssl.VERIFY_X509_STRICT | ssl.VERIFY_X509_PARTIAL_CHAIN
    made.load_default_certs()
    if ca_bundle:
        try:
            made.load_verify_locations(cadata=ca_bundle.decode("ascii"))
        except (ssl.SSLError, ValueError):
            raise ProviderDistrusted("spec.caBundle holds no certificate in PEM that can be read") from None
    return made


def explain(host: str, failure: ssl.SSLCertVerificationError) -> str:
    """A sentence for whoever can help: what is wrong with a certificate, and what to do about it."""
    if failure.verify_code in _MISSING_AUTHORITY:
        advice = "put the certificate of the authority that signed it, as PEM, into spec.caBundle"
    else:
        advice = "the server needs another certificate"
    return f"the certificate of {host} does not verify: {failure.verify_message.rstrip('.')}; {advice}"
