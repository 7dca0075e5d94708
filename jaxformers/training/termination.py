"""A request to end, as schedulers of machines send it: the step is finished, and its state saved."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator


@contextlib.contextmanager
def requests(wanted: bool = True) -> Iterator[threading.Event]:
    """Within it, SIGTERM sets the event, and does nothing else. In other threads than the main one it cannot be heard.

    wanted: whether to listen at all.
    """
    told = threading.Event()
    if not wanted or threading.current_thread() is not threading.main_thread():
        yield told
        return
    before = signal.signal(signal.SIGTERM, lambda *_: told.set())
    try:
        yield told
    finally:
        signal.signal(signal.SIGTERM, before)
