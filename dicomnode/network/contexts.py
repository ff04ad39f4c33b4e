"""The conformance table: SOP classes x transfer syntaxes, as data.

Explicit VR Big Endian is retired (PS3.5, since 2017a) and is still accepted: it costs nothing, and an old archive may
know nothing else. The order within a context is the node's preference, since the acceptor chooses (PS3.8 9.3.3.3).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec

from pydicom.uid import UID
from pynetdicom.presentation import AllStoragePresentationContexts, PresentationContext
from pynetdicom.sop_class import StorageCommitmentPushModel, Verification

from dicomnode.identity import CT_CLASSES

VERIFICATION = "1.2.840.10008.1.1"
COMMITMENT = "1.2.840.10008.1.20.1"


@dataclass(frozen=True, slots=True)
class TransferSyntax:
    """One transfer syntax, and what is needed to decode its pixels."""

    uid: str
    name: str
    section: str
    decoders: tuple[str, ...] = ()
    """Importable packages of which one must be installed; none for what needs no decoder."""

    @property
    def compressed(self) -> bool:
        """True if pixel data are encapsulated (PS3.5 A.4)."""
        return bool(self.decoders)


_JPEG = ("libjpeg",)
_JPEG_2000 = ("openjpeg",)
_RLE = ("rle", "pydicom")

TRANSFER_SYNTAXES = (
    TransferSyntax("1.2.840.10008.1.2.1", "Explicit VR Little Endian", "PS3.5 A.2"),
    TransferSyntax("1.2.840.10008.1.2", "Implicit VR Little Endian", "PS3.5 A.1"),
    TransferSyntax("1.2.840.10008.1.2.1.99", "Deflated Explicit VR Little Endian", "PS3.5 A.5"),
    TransferSyntax("1.2.840.10008.1.2.2", "Explicit VR Big Endian (retired)", "PS3.5 2016b A.3"),
    TransferSyntax("1.2.840.10008.1.2.5", "RLE Lossless", "PS3.5 A.4.2", _RLE),
    TransferSyntax("1.2.840.10008.1.2.4.80", "JPEG-LS Lossless", "PS3.5 A.4.3", _JPEG),
    TransferSyntax("1.2.840.10008.1.2.4.70", "JPEG Lossless, first-order prediction", "PS3.5 A.4.1", _JPEG),
    TransferSyntax("1.2.840.10008.1.2.4.57", "JPEG Lossless", "PS3.5 A.4.1", _JPEG),
    TransferSyntax("1.2.840.10008.1.2.4.201", "HTJ2K Lossless", "PS3.5 A.4.4", _JPEG_2000),
    TransferSyntax("1.2.840.10008.1.2.4.202", "HTJ2K Lossless RPCL", "PS3.5 A.4.4", _JPEG_2000),
    TransferSyntax("1.2.840.10008.1.2.4.90", "JPEG 2000 Lossless", "PS3.5 A.4.4", _JPEG_2000),
    TransferSyntax("1.2.840.10008.1.2.4.81", "JPEG-LS Near-lossless", "PS3.5 A.4.3", _JPEG),
    TransferSyntax("1.2.840.10008.1.2.4.203", "HTJ2K", "PS3.5 A.4.4", _JPEG_2000),
    TransferSyntax("1.2.840.10008.1.2.4.91", "JPEG 2000", "PS3.5 A.4.4", _JPEG_2000),
    TransferSyntax("1.2.840.10008.1.2.4.51", "JPEG Extended 8- and 12-bit", "PS3.5 A.4.1", _JPEG),
    TransferSyntax("1.2.840.10008.1.2.4.50", "JPEG Baseline 8-bit", "PS3.5 A.4.1", _JPEG),
)
"""In the order of preference: cheap to decode first, lossless before lossy."""

PLAIN = tuple(syntax.uid for syntax in TRANSFER_SYNTAXES[:2])
"""For services that carry no images."""


@cache
def decodable() -> frozenset[str]:
    """UIDs of the transfer syntaxes whose decoder is installed; looks for packages, imports none."""
    return frozenset(
        syntax.uid
        for syntax in TRANSFER_SYNTAXES
        if not syntax.decoders or any(find_spec(package) is not None for package in syntax.decoders)
    )


def other_storage_classes() -> tuple[str, ...]:
    """SOP Class UIDs of all other storage classes that pynetdicom knows."""
    return tuple(
        sorted(
            str(context.abstract_syntax)
            for context in AllStoragePresentationContexts
            if str(context.abstract_syntax) not in CT_CLASSES
        )
    )


def accepted_contexts(
    syntaxes: Iterable[str] | None = None, others: Sequence[str] = ()
) -> tuple[PresentationContext, ...]:
    """What a listener accepts: Verification, CT in `syntaxes` (default `decodable()`), `others` in every syntax of the
    table, and storage commitment reports, for which the peer is the SCP of the association that it opens (PS3.4 J.3.3).

    Built once a listener and shared by all its associations.
    """
    wanted = decodable() if syntaxes is None else frozenset(syntaxes)
    for_ct = [row.uid for row in TRANSFER_SYNTAXES if row.uid in wanted]
    every = [row.uid for row in TRANSFER_SYNTAXES]
    plain = list(PLAIN)
    contexts = [_context(Verification, plain), _context(StorageCommitmentPushModel, plain, roles=True)]
    contexts += [_context(uid, for_ct) for uid in CT_CLASSES]
    contexts += [_context(uid, every) for uid in others if uid not in CT_CLASSES]
    return tuple(contexts)


def _context(sop_class: str, syntaxes: list[str], roles: bool = False) -> PresentationContext:
    context = PresentationContext()
    context.abstract_syntax = UID(sop_class)
    context.transfer_syntax = [UID(uid) for uid in syntaxes]
    if roles:
        context.scu_role, context.scp_role = True, True
    return context
