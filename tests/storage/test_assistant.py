"""The second thread: work is done once, whoever does it."""

import threading

import pytest

from storage.assistant import Assistant, Task


def test_work_is_done_once_and_before_finish_returns() -> None:
    assistant, done = Assistant(), list[int]()
    for number in range(500):
        assistant.ask(lambda number=number: done.append(number)).finish()
    assert done == list(range(500))


def test_work_goes_on_beside_who_asked() -> None:
    reached = threading.Event()
    task = Assistant().ask(reached.set)
    assert reached.wait(10)
    task.finish()


def test_work_that_nobody_began_is_done_by_who_needs_it() -> None:
    """Else an instance would wait for those of other associations."""
    assistant, hold, held = Assistant(), threading.Event(), threading.Event()
    busy = assistant.ask(lambda: held.set() or hold.wait(10))  # type: ignore[func-returns-value]
    assert held.wait(10)
    who: list[str] = []
    assistant.ask(lambda: who.append(threading.current_thread().name)).finish()
    assert who == [threading.current_thread().name]
    hold.set()
    busy.finish()


def test_an_error_reaches_who_asked_and_ends_nothing() -> None:
    assistant = Assistant()

    def fail() -> None:
        raise MemoryError

    for _ in range(3):
        with pytest.raises(MemoryError):
            assistant.ask(fail).finish()
    done = threading.Event()
    assistant.ask(done.set)
    assert done.wait(10)


def test_a_task_that_was_done_is_not_done_again() -> None:
    count: list[int] = []
    task = Task(lambda: count.append(1))
    task.try_to_do()
    task.try_to_do()
    task.finish()
    assert count == [1]
