"""The SCU of C-STORE and C-ECHO: one association for each destination and batch.

Data sets leave as they lie on disk: the transfer syntax of the file is proposed, and its bytes are sent without being
decoded. Only where a peer takes an uncompressed data set in no other way is it encoded anew.
"""

import struct
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from io import BufferedReader, BytesIO
from pathlib import Path

from pydicom import dcmread
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.dsutils import encode, split_dataset
from pynetdicom.presentation import PresentationContext

from dicomnode.network.commands import P_DATA_TF
from dicomnode.network.contexts import PLAIN, VERIFICATION
from dicomnode.network.inline import InlineAssociation
from dicomnode.network.outbound import MOST_CONTEXTS, Destination, NoAssociation, association
from dicomnode.network.statuses import Answer, Outcome, answer_of

Item = tuple[str, str, Path]
"""SOP Class UID, SOP Instance UID, and the Part 10 file."""

_CONVERTIBLE = frozenset((*PLAIN, str(DeflatedExplicitVRLittleEndian)))
"""Transfer syntaxes between which only VRs and deflation differ; the bytes of pixel data stay as they are."""

_FRAGMENT_BYTES = 131_072
_MOST_LOSSES = 3
"""Associations that a batch may lose before the rest of it is left for later."""

_HEADER = struct.Struct(">BBLLBB")


@dataclass(frozen=True, slots=True)
class _Encoded:
    """A file, ready to be sent."""

    item: Item
    transfer_syntax_uid: str
    offset: int
    """Of the data set in the file, bytes."""


class _Gone(Exception):
    """The peer aborted, closed, stalled or talks nonsense."""


def echo(destination: Destination) -> Answer:
    """C-ECHO."""
    try:
        with association(destination, [(VERIFICATION, PLAIN)]) as assoc:
            status = assoc.send_c_echo().get("Status")
    except NoAssociation as error:
        return error.answer
    if status is None:
        return Answer(Outcome.LATER, None, "no answer to C-ECHO")
    return Answer(Outcome.ACCEPTED if status == 0 else Outcome.REJECTED, status, "" if status == 0 else "C-ECHO failed")


def send(destination: Destination, items: Iterable[Item]) -> Iterator[tuple[Item, Answer]]:
    """C-STORE each file, in order; every item is answered once. Only programming errors are raised."""
    batch: list[_Encoded] = []
    pairs: set[tuple[str, str]] = set()
    for item in items:
        encoded = _read(item)
        if isinstance(encoded, Answer):
            yield item, encoded
            continue
        pair = (item[0], encoded.transfer_syntax_uid)
        if pair not in pairs and 2 * len(pairs) + 2 > MOST_CONTEXTS:
            yield from _send_batch(destination, batch)
            batch, pairs = [], set()
        pairs.add(pair)
        batch.append(encoded)
    if batch:
        yield from _send_batch(destination, batch)


def _read(item: Item) -> _Encoded | Answer:
    try:
        meta, offset = split_dataset(item[2])
        return _Encoded(item, str(meta.TransferSyntaxUID), offset)
    except Exception as error:
        # What pydicom raises for a broken file is not a closed set; whichever it is, this file will never be sent.
        return Answer(Outcome.REJECTED, None, f"the file cannot be read: {type(error).__name__}")


def _send_batch(destination: Destination, batch: list[_Encoded]) -> Iterator[tuple[Item, Answer]]:
    """One association; after an instance at which it was lost, another one for the rest: that one may be to blame."""
    waiting = deque(batch)
    losses = 0
    while waiting:
        try:
            with association(destination, _proposals(waiting)) as assoc:
                while waiting:
                    answer = _send_one(assoc, waiting[0], len(waiting))
                    yield waiting.popleft().item, answer
        except NoAssociation as error:
            later = error.answer
            break
        except (_Gone, OSError) as error:
            later = Answer(Outcome.LATER, None, f"the association was lost: {error}")
            yield waiting.popleft().item, later
            losses += 1
            if losses == _MOST_LOSSES:
                break
    yield from ((encoded.item, later) for encoded in waiting)


def _proposals(batch: Iterable[_Encoded]) -> list[tuple[str, tuple[str, ...]]]:
    """Each SOP class with the transfer syntax of its files alone, and with those that they could be converted to."""
    wanted = dict.fromkeys((encoded.item[0], encoded.transfer_syntax_uid) for encoded in batch)
    exact = [(sop_class, (syntax,)) for sop_class, syntax in wanted]
    classes = dict.fromkeys(sop_class for sop_class, syntax in wanted if syntax in _CONVERTIBLE)
    return exact + [(sop_class, PLAIN) for sop_class in classes]


def _send_one(assoc: InlineAssociation, encoded: _Encoded, number: int) -> Answer:
    context = _context(assoc, encoded)
    if context is None:
        name = UID(encoded.transfer_syntax_uid).name
        return Answer(Outcome.REJECTED, None, f"the peer does not accept {UID(encoded.item[0]).name} in {name}")
    message_id = number & 0xFFFF
    request = C_STORE()
    request.MessageID, request.Priority = message_id, 2
    request.AffectedSOPClassUID, request.AffectedSOPInstanceUID = encoded.item[0], encoded.item[1]
    # Anything but None says that a data set follows (0000,0800); its bytes go past pynetdicom's queues.
    request.DataSet = BytesIO(b"")
    accepted = str(context.transfer_syntax[0])
    with _data_set(encoded, accepted) as data:
        _send_command(assoc, request, context.context_id)
        _send_data(assoc, context.context_id, data)
    return _response(assoc, message_id)


def _context(assoc: InlineAssociation, encoded: _Encoded) -> PresentationContext | None:
    fitting = [c for c in assoc.accepted_contexts if c.abstract_syntax == encoded.item[0] and c.as_scu]
    for context in fitting:
        if context.transfer_syntax[0] == encoded.transfer_syntax_uid:
            return context
    if encoded.transfer_syntax_uid in _CONVERTIBLE:
        for context in fitting:
            if context.transfer_syntax[0] in _CONVERTIBLE:
                return context
    return None


def _data_set(encoded: _Encoded, syntax: str) -> BufferedReader | BytesIO:
    """The encoded data set, at its first byte."""
    if syntax == encoded.transfer_syntax_uid:
        file = encoded.item[2].open("rb")
        file.seek(encoded.offset)
        return file
    uid = UID(syntax)
    data = encode(dcmread(encoded.item[2]), uid.is_implicit_VR, uid.is_little_endian, uid.is_deflated)
    if data is None:
        raise _Gone("the data set cannot be converted")
    return BytesIO(data)


def _send_command(assoc: InlineAssociation, request: C_STORE, context_id: int) -> None:
    if not assoc.is_established:
        raise _Gone("closed by the peer")
    assoc.dimse.send_msg(request, context_id)


def _send_data(assoc: InlineAssociation, context_id: int, data: BufferedReader | BytesIO) -> None:
    """P-DATA-TF PDUs no longer than the peer takes (PS3.8 D.1), each with one item; the last one says so.

    Fragments have even lengths (PS3.8 9.3.1); a deflated stream that has not gets the NULL of PS3.5 A.5.
    """
    most = (min(assoc.dimse.maximum_pdu_size or _FRAGMENT_BYTES, _FRAGMENT_BYTES) - 6) & ~1
    connection = assoc.dul.socket.socket
    if connection is None:
        raise _Gone("closed by the peer")
    pair = [bytearray(_HEADER.size + most), bytearray(_HEADER.size + most)]
    count = data.readinto(memoryview(pair[0])[_HEADER.size :])
    while True:
        following = data.readinto(memoryview(pair[1])[_HEADER.size :]) if count else 0
        if count % 2:
            pair[0][_HEADER.size + count] = 0
            count += 1
        _HEADER.pack_into(pair[0], 0, P_DATA_TF, 0, count + 6, count + 2, context_id, 0 if following else 2)
        connection.sendall(memoryview(pair[0])[: _HEADER.size + count])
        if not following:
            return
        pair.reverse()
        count = following


def _response(assoc: InlineAssociation, message_id: int) -> Answer:
    _, response = assoc.dimse.get_msg(block=True)
    if response is None:
        raise _Gone("aborted, closed or silent before it answered")
    if not isinstance(response, C_STORE) or response.MessageIDBeingRespondedTo != message_id or response.Status is None:
        raise _Gone("an answer to something else")
    return answer_of(int(response.Status), str(response.ErrorComment or ""))
