"""What a peer has sent and nobody has used yet, in one piece of memory.

Reading as much as there is takes one system call, where head and body of each PDU take two, and what has come of a data
set can then be written with one more. Views that were handed out stay true until `rewind`, or `room` for more than fits
behind them: `roomy` tells beforehand.
"""

import mmap


class ReadAhead:
    """Bytes that are added at the end and used up from the start. The memory is taken when it is first needed."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._memory = memoryview(b"")
        self._start = self._end = 0

    def __len__(self) -> int:
        return self._end - self._start

    def roomy(self, count: int) -> bool:
        """Whether `count` unused bytes fit without moving any."""
        return self._start + count <= self._capacity

    def view(self, count: int) -> memoryview:
        """The first `count` of the unused bytes, or all of them where there are fewer."""
        return self._memory[self._start : min(self._start + count, self._end)]

    def use(self, count: int) -> None:
        """The first `count` of them are used; their memory stays as it is for now."""
        self._start += count

    def rewind(self) -> None:
        """Nothing that was handed out is looked at any more: what is unused moves to the start."""
        left = len(self)
        if left and self._start:
            self._memory[:left] = self._memory[self._start : self._end]
        self._start, self._end = 0, left

    def room(self, count: int) -> memoryview:
        """All the free memory behind the unused bytes, of which `count` shall fit."""
        if not self._memory:
            # Of the operating system's own memory only those pages count that are used, and they go back at once.
            self._memory = memoryview(mmap.mmap(-1, self._capacity))
        if not self.roomy(count):
            self.rewind()
        return self._memory[self._end :]

    def filled(self, count: int) -> None:
        """`count` bytes were put where `room` said."""
        self._end += count
