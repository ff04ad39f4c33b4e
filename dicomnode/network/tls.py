"""DICOM TLS after BCP 195 (PS3.15 Annex B): TLS 1.2 or later, forward secrecy, authenticated encryption."""

import ssl
from pathlib import Path

from dicomnode.errors import ConfigurationError

_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"
"""For TLS 1.2 (RFC 9325 4.2); every suite of TLS 1.3 is of that kind."""


def server_context(certificate: Path, key: Path, peers: Path | None = None) -> ssl.SSLContext:
    """For the listener. With `peers`, a PEM file of authorities, a client needs a certificate of one of them.

    Raises ConfigurationError that names the file.
    """
    context = _hardened(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
    _load_own(context, certificate, key)
    if peers is not None:
        _load_authorities(context, peers)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def client_context(
    authorities: Path | None = None,
    certificate: Path | None = None,
    key: Path | None = None,
    verify_host: bool = True,
) -> ssl.SSLContext:
    """For a destination: `authorities` vouch for it (None: those of the system), `certificate` and `key` are our own.

    `verify_host=False` takes any name in a valid certificate: archives are often called by an address it does not name.
    Raises ConfigurationError that names the file.
    """
    context = _hardened(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
    context.check_hostname = verify_host
    if authorities is not None:
        _load_authorities(context, authorities)
    else:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    if certificate is not None:
        if key is None:
            raise ConfigurationError(f"TLS certificate {certificate}: its key is not configured")
        _load_own(context, certificate, key)
    return context


def _hardened(context: ssl.SSLContext) -> ssl.SSLContext:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(_CIPHERS)
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    return context


def _load_own(context: ssl.SSLContext, certificate: Path, key: Path) -> None:
    for path in (certificate, key):
        _readable(path)
    try:
        # Without a password function OpenSSL asks on the terminal for that of an encrypted key, and waits.
        context.load_cert_chain(certificate, key, password=lambda: "")
    except ssl.SSLError as error:
        reason = "does not belong to" if error.reason == "KEY_VALUES_MISMATCH" else "cannot be used with"
        raise ConfigurationError(f"TLS key {key} {reason} certificate {certificate}") from error


def _load_authorities(context: ssl.SSLContext, path: Path) -> None:
    _readable(path)
    try:
        context.load_verify_locations(path)
    except ssl.SSLError as error:
        raise ConfigurationError(f"TLS authorities {path}: not a PEM file of certificates") from error


def _readable(path: Path) -> None:
    try:
        path.open("rb").close()
    except OSError as error:
        raise ConfigurationError(f"TLS file {path}: {error.strerror}") from error
