"""The bytes that are read and written by hand, against pynetdicom's own reading and writing of them."""

import struct
from io import BytesIO

from hypothesis import given
from hypothesis import strategies as st
from pynetdicom.dimse_messages import C_STORE_RQ, C_STORE_RSP, DIMSEMessage
from pynetdicom.dimse_primitives import C_ECHO, C_STORE
from pynetdicom.pdu import P_DATA_TF

from dicomnode.network.commands import (
    LONG_HEADS_BYTES,
    StoreCommand,
    long_fragment,
    pdvs,
    store_command,
    store_response,
)

UIDS = st.from_regex(r"[1-9](\.(0|[1-9][0-9]{0,8})){1,6}", fullmatch=True)
COMMANDS = st.builds(StoreCommand, st.integers(0, 0xFFFF), UIDS, UIDS)


def encoded(command: StoreCommand, data: bytes = b"data") -> bytes:
    """The command set as pynetdicom writes it."""
    primitive = C_STORE()
    primitive.MessageID, primitive.Priority = command.message_id, 2
    primitive.AffectedSOPClassUID, primitive.AffectedSOPInstanceUID = command.sop_class_uid, command.sop_instance_uid
    primitive.DataSet = BytesIO(data)
    message = C_STORE_RQ()
    message.primitive_to_message(primitive)
    first = next(iter(message.encode_msg(1, 0)))
    return bytes(first.presentation_data_value_list[0][1][1:])


@given(COMMANDS)
def test_a_request_is_read_as_it_was_written(command: StoreCommand) -> None:
    """What pynetdicom encodes is parsed to the same values."""
    assert store_command(memoryview(encoded(command))) == command


@given(COMMANDS, st.integers(0, 0xFFFF), st.sampled_from([1, 3, 255]), st.text(max_size=80))
def test_a_response_is_understood(command: StoreCommand, status: int, context_id: int, comment: str) -> None:
    """What is written by hand is decoded by pynetdicom to the same values."""
    pdu = P_DATA_TF()
    pdu.decode(store_response(context_id, command, status, comment))
    message = DIMSEMessage()
    assert message.decode_msg(pdu.to_primitive())
    assert isinstance(message, C_STORE_RSP)
    response = message.message_to_primitive()
    assert message.context_id == context_id
    assert (response.MessageIDBeingRespondedTo, response.Status) == (command.message_id, status)
    assert response.AffectedSOPInstanceUID == command.sop_instance_uid
    assert response.AffectedSOPClassUID == command.sop_class_uid
    assert len(response.ErrorComment or "") <= 64


@given(COMMANDS, st.data())
def test_a_damaged_request_is_read_rightly_or_not_at_all(command: StoreCommand, data: st.DataObject) -> None:
    """A cut-off command set is never taken for a whole one."""
    whole = encoded(command)
    cut = data.draw(st.integers(0, len(whole) - 1))
    assert store_command(memoryview(whole[:cut])) in (None, command)


@given(st.binary(max_size=200))
def test_any_bytes_are_survived(data: bytes) -> None:
    """Parsers of hostile bytes answer with a value, None or ValueError."""
    store_command(memoryview(data))
    try:
        total = sum(len(item.fragment) + 6 for item in pdvs(memoryview(data)))
    except ValueError:
        return
    assert total == len(data)


@given(st.lists(st.tuples(st.integers(0, 255), st.integers(0, 3), st.binary(max_size=40)), min_size=1, max_size=5))
def test_items_are_taken_apart_as_they_were_put_together(items: list[tuple[int, int, bytes]]) -> None:
    """Context, flags and fragments of each item come back, in order."""
    body = b"".join(struct.pack(">LBB", len(data) + 2, context, flags) + data for context, flags, data in items)
    found = [
        (item.context_id, item.is_command + 2 * item.is_last, bytes(item.fragment)) for item in pdvs(memoryview(body))
    ]
    assert found == items


@given(
    st.integers(30_000, 40_000),
    st.sampled_from([0, 1, 2, 3, 4]),
    st.sampled_from([1, 3]),
    st.sampled_from([-1, 0, 0, 0, 1]),
    st.sampled_from([4, 4, 4, 7]),
)
def test_heads_alone_tell_what_the_whole_pdu_tells(size: int, flags: int, context: int, off: int, kind: int) -> None:
    """One fragment of the data set that fills a long PDU is recognised, and nothing else is taken for one."""
    item = struct.pack(">LBB", size + 2 + off, context, flags) + bytes(size)
    pdu = memoryview(struct.pack(">BxL", kind, len(item)) + item)
    found = long_fragment(pdu[:LONG_HEADS_BYTES], 1)
    if found is None:
        assert size < 33_000 or off or flags not in (0, 2) or context != 1 or kind != 4
        return
    (whole,) = pdvs(pdu[6:])
    assert (kind, whole.context_id, whole.is_command) == (4, 1, False)
    assert (whole.is_last, len(whole.fragment)) == (found.is_last, found.length)


@given(st.binary(max_size=12))
def test_a_head_that_is_cut_off_tells_nothing(data: bytes) -> None:
    head = memoryview(data)
    if len(data) < LONG_HEADS_BYTES:
        assert long_fragment(head, 1) is None


def test_other_commands_are_left_to_the_library() -> None:
    """C-ECHO-RQ, and a C-STORE-RQ without a data set."""
    assert store_command(memoryview(encoded(StoreCommand(1, "1.2", "1.3"), b""))) is not None
    plain = encoded(StoreCommand(1, "1.2", "1.3")).replace(b"\x00\x08\x02\0\0\0\x01\x00", b"\x00\x08\x02\0\0\0\x01\x01")
    assert store_command(memoryview(plain)) is None
    assert C_ECHO is not None
