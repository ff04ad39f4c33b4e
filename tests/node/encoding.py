"""Data sets as they travel: without preamble and meta information."""

import io

from pydicom.dataset import Dataset


def encoded(dataset: Dataset) -> bytes:
    """The data set alone, Explicit VR Little Endian."""
    buffer = io.BytesIO()
    dataset.save_as(buffer, implicit_vr=False, little_endian=True, enforce_file_format=False)
    content = buffer.getvalue()
    return content[content.index(b"\x08\0") :] if content[:4] != b"\x08\0" else content
