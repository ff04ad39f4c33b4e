"""Deterministic UIDs: the same input, judged by the same model, always makes objects of the same name.

PS3.5 B.2 allows any UUID below 2.25. A UUID needs no registered root; the 128 bits are taken from SHA-256 over the
parts of the name and marked as a UUID of version 8, "custom" (RFC 9562, section 5.8). A job that is repeated after a
crash therefore makes the objects it made before, and an archive that holds them already keeps one copy.
"""

import hashlib
from collections.abc import Iterable

ROOT = "2.25."

_SEPARATOR = "\x1f"


def derive(*parts: str) -> str:
    """The UID named by `parts`, in their order; below 2.25, at most 44 characters."""
    digest = bytearray(hashlib.sha256(_SEPARATOR.join(("dicomnode", *parts)).encode()).digest()[:16])
    digest[6] = (digest[6] & 0x0F) | 0x80
    digest[8] = (digest[8] & 0x3F) | 0x80
    return f"{ROOT}{int.from_bytes(digest, 'big')}"


def fingerprint(values: Iterable[str]) -> str:
    """One short name for a set of UIDs, whatever their order."""
    return hashlib.sha256(_SEPARATOR.join(sorted(values)).encode()).hexdigest()


def device(weights_sha256: str) -> str:
    """Device UID (0018,1002) of a model: a new one for each retrained model, as IHE AIR (Rev. 1.3, 6.5.3.1) asks."""
    return derive("device", weights_sha256)
