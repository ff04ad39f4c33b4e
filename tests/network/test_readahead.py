"""What was read ahead is used in its order, and what was shown stays true as long as is said."""

from hypothesis import given
from hypothesis import strategies as st

from dicomnode.network.readahead import ReadAhead


@given(st.lists(st.tuples(st.integers(1, 64), st.integers(0, 64), st.integers(0, 64)), max_size=60))
def test_bytes_come_out_as_they_went_in(steps: list[tuple[int, int, int]]) -> None:
    """However much is asked for, added and used at a time."""
    ahead, added, used = ReadAhead(64), 0, 0
    for wanted, arrives, uses in steps:
        room = ahead.room(max(wanted, len(ahead)))
        count = min(arrives, len(room))
        room[:count] = bytes((added + at) % 251 for at in range(count))
        ahead.filled(count)
        added += count
        shown = ahead.view(uses)
        assert bytes(shown) == bytes((used + at) % 251 for at in range(min(uses, added - used)))
        ahead.use(len(shown))
        used += len(shown)
        assert len(ahead) == added - used


def test_what_was_shown_stays_true_while_it_is_roomy() -> None:
    ahead = ReadAhead(10)
    shown = []
    for number in range(5):
        assert ahead.roomy(2)
        ahead.room(2)[:2] = bytes((number, number))
        ahead.filled(2)
        shown.append(ahead.view(2))
        ahead.use(2)
    assert not ahead.roomy(2)
    assert [bytes(view) for view in shown] == [bytes((number, number)) for number in range(5)]
    ahead.rewind()
    assert ahead.roomy(10)


def test_no_memory_is_taken_before_something_comes() -> None:
    """Half-open connections and associations that only echo cost none."""
    ahead = ReadAhead(1 << 60)
    assert ahead.view(6) == b""
    assert ahead.roomy(100)
    assert len(ahead) == 0
