"""A Secondary Capture that the node made, as a PNG: for the pages, the demonstration and `dicomnode judge --out`."""

from io import BytesIO

from pydicom import dcmread
from pydicom.errors import InvalidDicomError


def picture(encoded: bytes) -> bytes | None:
    """PNG of an uncompressed RGB Part 10 file, of several frames the first; None for what is no such picture."""
    from PIL import Image

    try:
        dataset = dcmread(BytesIO(encoded))
    except InvalidDicomError:
        return None
    if dataset.get("PhotometricInterpretation") != "RGB" or "PixelData" not in dataset:
        return None
    size = (int(dataset.Columns), int(dataset.Rows))
    first_frame = bytes(dataset.PixelData)[: 3 * size[0] * size[1]]
    file = BytesIO()
    Image.frombytes("RGB", size, first_frame).save(file, "PNG")
    return file.getvalue()
