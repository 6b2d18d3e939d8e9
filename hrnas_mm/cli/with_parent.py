"""Processes that end with the one that has started them."""

import os
import signal
import sys
import threading

# Variable that tells a process to end when its standard input does.
ENDS_WITH_INPUT = 'HRNAS_MM_ENDS_WITH_INPUT'


def end_with_parent_() -> None:
    """End this process as soon as its parent has ended, however that was.

    The parent sets ``ENDS_WITH_INPUT`` and holds the other end of the
    standard input, which closes with it, even when it is killed. Without the
    variable nothing happens.
    """
    if not os.environ.pop(ENDS_WITH_INPUT, ''):
        return

    def watch() -> None:
        while os.read(descriptor, 1):
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    # A copy, as what reads the input may close it.
    descriptor = os.dup(sys.stdin.fileno())
    threading.Thread(target=watch, daemon=True).start()
