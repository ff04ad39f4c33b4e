"""The node as an application entity: what it says of itself in every association, whichever side opened it."""

from pynetdicom import AE

from dicomnode.identity import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME


def application_entity(aet: str) -> AE:
    """An entity of this title with the node's own Implementation Class UID and Version Name (PS3.7 D.3.3.2)."""
    ae = AE(ae_title=aet)
    ae.implementation_class_uid = IMPLEMENTATION_CLASS_UID
    ae.implementation_version_name = IMPLEMENTATION_VERSION_NAME
    return ae
