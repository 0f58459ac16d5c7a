"""A process that draws figures while its caller computes the rest.

Figures take as long as everything else on the report's page.
"""

from __future__ import annotations

import importlib
import multiprocessing
import signal
from concurrent.futures import ProcessPoolExecutor


def drawing_process() -> ProcessPoolExecutor:
    """Starts the process; it imports what it needs while its caller goes on.

    It is not forked, since PyArrow has threads. Ctrl-C stops only the process that waits for it.
    """
    context = multiprocessing.get_context("spawn")
    ignore = (signal.SIGINT, signal.SIG_IGN)
    executor = ProcessPoolExecutor(1, context, initializer=signal.signal, initargs=ignore)
    for needed in ("figures", "matplotlib.figure", "matplotlib.backends.backend_svg"):
        executor.submit(importlib.import_module, needed)
    return executor
