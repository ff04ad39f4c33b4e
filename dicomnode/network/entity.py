"""The node as an application entity, and what of pynetdicom it does without, whichever side opens the association."""

import logging

from pydicom import config
from pynetdicom import AE, _config

from dicomnode.identity import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME


def application_entity(aet: str) -> AE:
    """An entity of this title with the node's own Implementation Class UID and Version Name (PS3.7 D.3.3.2)."""
    ae = AE(ae_title=aet)
    ae.implementation_class_uid = IMPLEMENTATION_CLASS_UID
    ae.implementation_version_name = IMPLEMENTATION_VERSION_NAME
    return ae


def quiet_pynetdicom() -> None:
    """pynetdicom logs each PDU and what is in it, pydicom each malformed value: off, for speed and for privacy.

    pydicom warns as well, and Python remembers every different warning: a peer could fill the memory with them. Both
    look at UIDs over and over, 1,700 times in an association request of storescu.
    """
    _config.LOG_HANDLER_LEVEL = "none"
    _config.VALIDATORS["UI"] = _fits_ui
    logging.getLogger("pynetdicom").setLevel(logging.CRITICAL)
    logging.getLogger("pydicom").setLevel(logging.ERROR)
    config.settings.reading_validation_mode = config.IGNORE


def _fits_ui(uid: str) -> tuple[bool, str]:
    """As pynetdicom's own (PS3.5 9.1: 64 characters at most), without making another UID of it."""
    return 0 < len(uid) <= 64, "must have 1 to 64 characters"
