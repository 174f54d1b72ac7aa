"""Ctrl-C and SIGTERM while training: finish the step, save, and say how to go on."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any

from nlp_lstm.errors import Stopped


class Interrupt:
    """Within a `with`, the first SIGINT or SIGTERM only sets `signal`; a second one raises Stopped at once."""

    def __init__(self) -> None:
        self.signal: int | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Interrupt:
        """Take over the two signals, where this is the main thread, which alone may."""
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._arrived)
        return self

    def __exit__(self, *exception: object) -> None:
        """Give the signals back."""
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _arrived(self, number: int, _frame: FrameType | None) -> None:
        if self.signal is not None:
            raise Stopped(number)
        self.signal = number
