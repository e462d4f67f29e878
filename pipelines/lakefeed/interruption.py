"""Ends a command within seconds of Ctrl-C or SIGTERM, whatever it is doing.

Python runs signal handlers between two bytecode instructions of the main thread, so never while
that thread is blocked in C code such as DuckDB or libpq
(https://docs.python.org/3/library/signal.html#execution-of-python-signal-handlers). A separate
thread learns of the signal at once through the wakeup descriptor, cancels what the other threads
wait for and, if that doesn't help, ends the process. No data is lost at whichever instruction the
process ends (tests/faults/test_killed.py).
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

# The promise is five seconds; this leaves a margin for a busy machine.
_GRACE_SECONDS = 3.5
_SIGNALS = (signal.SIGINT, signal.SIGTERM)

_guests: list[None] = []
_arrived: list[int] = []
_actions: dict[str, Callable[[], None]] = {}
_done: list[str] = []
_message_printed = threading.Event()


def on_interrupt(name: str, action: Callable[[], None]) -> None:
    """Registers an action to run in a thread of its own when the process is interrupted.

    Args:
        name: replaces an earlier action with the same name.
    """
    _actions[name] = action


def is_interrupted() -> bool:
    """Whether this process has received Ctrl-C or SIGTERM."""
    return bool(_arrived)


def raise_if_interrupted() -> None:
    """Raises KeyboardInterrupt again if the process has been interrupted.

    For use after libraries that catch KeyboardInterrupt, and before steps that can't be undone.

    Raises:
        KeyboardInterrupt: this process has received Ctrl-C or SIGTERM.
    """
    if _arrived:
        raise KeyboardInterrupt


def note_done(what: str) -> None:
    """Records what remains done if the command is interrupted later, for its final message."""
    _done.append(what)


def what_was_done(otherwise: str) -> str:
    """The most recent text passed to `note_done`; `otherwise` if there is none."""
    return _done[-1] if _done else otherwise


@contextmanager
def as_guest() -> Iterator[None]:
    """Marks the process as another program's for the block, so that nothing in it ends it."""
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
    """Ends the process within five seconds of Ctrl-C or SIGTERM, and at once on a second signal.

    The block receives a KeyboardInterrupt first. Does nothing outside the main thread, since only
    the main thread may handle signals.

    Args:
        last_words: returns the message to print if the block doesn't end in time.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    for state in (_arrived, _done):
        state.clear()
    _message_printed.clear()
    receiver, sender = socket.socketpair()
    sender.setblocking(False)
    # Handled even if ignored so far: shells start background jobs with SIGINT ignored, and a signal
    # sent to one on purpose must still end it.
    handlers = {number: signal.signal(number, _interrupt) for number in _SIGNALS}
    previous_wakeup = signal.set_wakeup_fd(sender.fileno(), warn_on_full_buffer=False)
    threading.Thread(target=_listen, args=(receiver, last_words), daemon=True).start()
    try:
        yield
    finally:
        # After an interruption, threads may keep the process alive past the block: keep the limit.
        if not _arrived:
            for number, handler in handlers.items():
                signal.signal(number, handler)
            signal.set_wakeup_fd(previous_wakeup)
            sender.close()


def say_once(words: str) -> None:
    """Prints the final message unbuffered, unless another thread has printed one already."""
    if not _message_printed.is_set():
        _message_printed.set()
        with suppress(OSError):
            os.write(2, f"{words}\n".encode())


def exit_code() -> int:
    """The exit code that shells expect after this signal: 130 for Ctrl-C, 143 for SIGTERM."""
    return 128 + (_arrived[0] if _arrived else signal.SIGINT)


def end_process(words: str, code: int) -> None:
    """Ends the process from any thread, without waiting for the others."""
    say_once(words)
    # Flush what is buffered, but with a limit: another thread may be blocked in a write to stdout.
    flush = threading.Thread(target=_flush, daemon=True)
    flush.start()
    flush.join(0.3)
    os._exit(code)


def _interrupt(number: int, _frame: object) -> None:
    _arrived.append(number)
    raise KeyboardInterrupt


def _listen(receiver: socket.socket, last_words: Callable[[], str]) -> None:
    with receiver:
        number = _next_signal(receiver)
        if not number:
            return
        _arrived.append(number)
        for action in tuple(_actions.values()):
            threading.Thread(target=action, daemon=True).start()
        receiver.settimeout(_GRACE_SECONDS)
        with suppress(TimeoutError):
            _next_signal(receiver)
        end_process(last_words(), exit_code())


def _next_signal(receiver: socket.socket) -> int:
    """Waits for a signal that ends the process; returns 0 once the sender is closed."""
    while received := receiver.recv(1):
        if received[0] in _SIGNALS:
            return received[0]
    return 0


def _flush() -> None:
    with suppress(OSError, ValueError):
        sys.stdout.flush()
