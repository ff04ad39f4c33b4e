"""What network, series and results must agree on without knowing each other: the node's own names, and what it judges.

The node's objects are recognised by these names when an archive routes them back.
"""

from collections.abc import Mapping

MANUFACTURER = "dicomnode"
"""Manufacturer (0008,0070) and Contributing Equipment of every object made here; never judged when it comes back."""

IMPLEMENTATION_CLASS_UID = "2.25.80198559466205794161827342651995414197"
"""Said in every association (PS3.7 annex D.3.3.2), (0002,0012) of every file written here, and Instance Creator UID
(0008,0014) of every result, which survives transport. A UUID of version 8, drawn once."""

IMPLEMENTATION_VERSION_NAME = "DICOMNODE"
"""(0002,0013); at most 16 characters."""

CT_CLASSES: Mapping[str, str] = {
    "1.2.840.10008.5.1.4.1.1.2": "CT Image Storage",
    "1.2.840.10008.5.1.4.1.1.2.1": "Enhanced CT Image Storage",
    "1.2.840.10008.5.1.4.1.1.2.2": "Legacy Converted Enhanced CT Image Storage",
}
"""SOP Class UID -> name, PS3.4 Table B.5-1: what the node judges."""
