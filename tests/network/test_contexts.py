"""The conformance table against what is installed."""

import subprocess
import sys

from pydicom.pixels import get_decoder
from pydicom.uid import UID

from dicomnode.identity import CT_CLASSES
from dicomnode.network.contexts import (
    TRANSFER_SYNTAXES,
    VERIFICATION,
    accepted_contexts,
    decodable,
    other_storage_classes,
)


def test_every_syntax_is_known_by_its_uid() -> None:
    """No typing error in a UID: pydicom knows each, once, and agrees about its compression."""
    uids = [UID(row.uid) for row in TRANSFER_SYNTAXES]
    assert len(set(uids)) == len(uids)
    assert all(uid.is_transfer_syntax for uid in uids)
    assert [uid.is_encapsulated for uid in uids] == [row.compressed for row in TRANSFER_SYNTAXES]
    assert all(UID(uid).name == name for uid, name in CT_CLASSES.items())


def test_what_is_called_decodable_can_be_decoded() -> None:
    """pydicom finds a decoder for exactly those that the table finds a package for."""
    for row in TRANSFER_SYNTAXES:
        if row.compressed:
            assert (row.uid in decodable()) == get_decoder(UID(row.uid)).is_available, row.name


def test_ct_is_accepted_only_where_it_can_be_decoded() -> None:
    """A handed-in set narrows what is offered; other classes come only when they are configured."""
    contexts = {str(c.abstract_syntax): c for c in accepted_contexts({"1.2.840.10008.1.2.1"})}
    assert [contexts[uid].transfer_syntax for uid in CT_CLASSES] == [["1.2.840.10008.1.2.1"]] * 3
    assert VERIFICATION in contexts
    assert "1.2.840.10008.5.1.4.1.1.7" not in contexts
    more = {str(c.abstract_syntax) for c in accepted_contexts(others=other_storage_classes())}
    assert {"1.2.840.10008.5.1.4.1.1.7", "1.2.840.10008.5.1.4.1.1.88.33"} <= more


def test_nothing_heavy_is_imported() -> None:
    """A process that receives or sends loads no model, no drawing and no result library."""
    modules = "listener, sender, commitment, query, archive, stow, tls"
    code = f"import sys; from dicomnode.network import {modules}; print({HEAVY} & set(sys.modules))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "set()"


HEAVY = {"torch", "highdicom", "matplotlib", "sqlalchemy", "scipy", "dicomweb_client"}
