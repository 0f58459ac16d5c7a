"""A process that draws figures, and tests the trend, while its caller computes the rest.

The two take about equally long for the report's page.
"""

from __future__ import annotations

import contextlib
import importlib
import multiprocessing
import signal
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor

_NEEDED = (
    *("figures", "matplotlib.figure", "matplotlib.backends.backend_svg"),
    *("scipy.stats", "statsmodels.regression.linear_model", "pymannkendall"),
)
"""Modules of the drawings and of the trend, which take long to import."""


@contextlib.contextmanager
def drawing_process() -> Iterator[ProcessPoolExecutor]:
    """Starts the process, which imports the modules of the drawings in the background.

    It is not forked, since PyArrow has threads. Ctrl-C stops only the process that waits for it,
    and an error in that one stops it at once.
    """
    context = multiprocessing.get_context("spawn")
    ignore = (signal.SIGINT, signal.SIG_IGN)
    executor = ProcessPoolExecutor(1, context, initializer=signal.signal, initargs=ignore)
    for needed in _NEEDED:
        executor.submit(importlib.import_module, needed)
    try:
        yield executor
    except BaseException:
        for process in multiprocessing.active_children():
            process.terminate()
        raise
    finally:
        executor.shutdown()
