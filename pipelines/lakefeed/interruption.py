"""How Ctrl-C and SIGTERM end a command within seconds, wherever it is.

Python runs a signal's handler between two instructions of the main thread, and so never while that
waits in C: for DuckDB, or for PostgreSQL's answer. A thread of its own hears of the signal at once,
ends what the others wait for, and ends the process where that wasn't enough. The process may end at
any instruction, and nothing is lost by it. (tests/faults/test_killed.py)
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

# Then the process ends, whatever it waits for: five seconds are promised, and a machine is busy.
_PATIENCE_SECONDS = 3.5
_SIGNALS = (signal.SIGINT, signal.SIGTERM)

_guests: list[None] = []
_arrived: list[int] = []
_actions: dict[str, Callable[[], None]] = {}
_done: list[str] = []
_said = threading.Event()


def on_interrupt(name: str, action: Callable[[], None]) -> None:
    """Has this called when the process is interrupted, in a thread of its own.

    Args:
        name: another action of the same name is replaced.
    """
    _actions[name] = action


def is_interrupted() -> bool:
    """Whether this process was told to end."""
    return bool(_arrived)


def raise_if_interrupted() -> None:
    """To be called after libraries that catch KeyboardInterrupt, and before what can't be undone.

    Raises:
        KeyboardInterrupt: this process was told to end.
    """
    if _arrived:
        raise KeyboardInterrupt


def note_done(what: str) -> None:
    """Notes what stays done though the command be interrupted after it, for its last words."""
    _done.append(what)


def what_was_done(otherwise: str) -> str:
    """The newest of what `note_done` was told."""
    return _done[-1] if _done else otherwise


@contextmanager
def as_guest() -> Iterator[None]:
    """The process belongs to another program: whatever happens in the block, it isn't ended."""
    _guests.append(None)
    try:
        yield
    finally:
        _guests.pop()


def is_guest() -> bool:
    """Whether the process belongs to another program."""
    return bool(_guests)


@contextmanager
def ending_in_time(last_words: Callable[[], str]) -> Iterator[None]:
    """Ends the process within five seconds of Ctrl-C or SIGTERM, and at once on a second one.

    The block sees a KeyboardInterrupt first. Outside of the main thread, which alone may handle
    signals, nothing is done.

    Args:
        last_words: what is said where the block can't be left in time.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    for state in (_arrived, _done):
        state.clear()
    _said.clear()
    hears, tells = socket.socketpair()
    tells.setblocking(False)
    # Shells start what is to run in the background deaf to Ctrl-C. Who sends it a signal means it.
    handlers = {number: signal.signal(number, _interrupt) for number in _SIGNALS}
    told_before = signal.set_wakeup_fd(tells.fileno(), warn_on_full_buffer=False)
    threading.Thread(target=_listen, args=(hears, last_words), daemon=True).start()
    try:
        yield
    finally:
        # Once interrupted, threads may keep the process up after the block: the limit stays.
        if not _arrived:
            for number, handler in handlers.items():
                signal.signal(number, handler)
            signal.set_wakeup_fd(told_before)
            tells.close()


def say_once(words: str) -> None:
    """Prints the last words, whoever comes to say them first, past all that is buffered."""
    if not _said.is_set():
        _said.set()
        with suppress(OSError):
            os.write(2, f"{words}\n".encode())


def exit_code() -> int:
    """What shells say of a process that this signal ended: 130 for Ctrl-C, 143 for SIGTERM."""
    return 128 + (_arrived[0] if _arrived else signal.SIGINT)


def end_process(words: str, code: int) -> None:
    """Ends the process from any thread, whatever the others wait for."""
    say_once(words)
    # What is printed already may still be in Python's hands, and another thread stuck in writing.
    flush = threading.Thread(target=_flush, daemon=True)
    flush.start()
    flush.join(0.3)
    os._exit(code)


def _interrupt(number: int, _frame: object) -> None:
    _arrived.append(number)
    raise KeyboardInterrupt


def _listen(hears: socket.socket, last_words: Callable[[], str]) -> None:
    with hears:
        number = _next_signal(hears)
        if not number:
            return
        _arrived.append(number)
        for action in tuple(_actions.values()):
            threading.Thread(target=action, daemon=True).start()
        hears.settimeout(_PATIENCE_SECONDS)
        with suppress(TimeoutError):
            _next_signal(hears)
        end_process(last_words(), exit_code())


def _next_signal(hears: socket.socket) -> int:
    """The number of a signal that ends the process; 0 where none can come any more."""
    while told := hears.recv(1):
        if told[0] in _SIGNALS:
            return told[0]
    return 0


def _flush() -> None:
    with suppress(OSError, ValueError):
        sys.stdout.flush()
