"""Imports of TensorFlow, seqio and T5, without their start-up messages and on the CPU alone."""

from __future__ import annotations

import contextlib
import functools
import os
import re
import sys
import tempfile
import warnings
from collections.abc import Iterator
from types import ModuleType

from spactor.errors import UserError

# Printed to the file descriptor before a logger could be configured.
_STARTUP = re.compile(
    rb"WARNING: All log messages before absl|I0000 |To enable the following instructions"
    rb"|\d{4}-\d\d-\d\d \S+ I tensorflow|E0000 \S+ +\d+ cuda_platform.*cuInit"
)


@contextlib.contextmanager
def _without_startup_messages() -> Iterator[None]:
    """Filters start-up messages out of what is written to file descriptor 2."""
    sys.stderr.flush()
    saved = os.dup(2)
    try:
        with tempfile.TemporaryFile() as held:
            os.dup2(held.fileno(), 2)
            try:
                yield
            finally:
                sys.stderr.flush()
                os.dup2(saved, 2)
                held.seek(0)
                for line in held:
                    if not _STARTUP.match(line):
                        os.write(2, line)
    finally:
        os.close(saved)


@functools.cache
def seqio() -> ModuleType:
    """The module `seqio`, with TensorFlow kept off accelerators.

    Raises:
      UserError: the ``train`` extra is not installed.
    """
    # TensorFlow would otherwise take all of a GPU's memory from JAX.
    with _without_startup_messages(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            import seqio as module
            import tensorflow as tf
        except ImportError as error:
            raise UserError(
                f"{error.name or 'seqio'} is not installed: install this project with its "
                "'train' extra"
            ) from error
        tf.config.set_visible_devices([], "GPU")
        tf.config.set_visible_devices([], "TPU")
    return module


@functools.cache
def tensorflow_text() -> tuple[ModuleType, ModuleType]:
    """The modules `tensorflow` and `tensorflow_text`."""
    seqio()
    import tensorflow
    import tensorflow_text

    return tensorflow, tensorflow_text


@functools.cache
def t5_metrics() -> ModuleType:
    """The module `t5.evaluation.metrics`."""
    seqio()
    with _without_startup_messages(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import t5.evaluation.metrics as module
    return module


@functools.cache
def t5_postprocessors() -> ModuleType:
    """The module `t5.data.postprocessors`."""
    t5_metrics()
    import t5.data.postprocessors as module

    return module


@functools.cache
def t5_tasks() -> ModuleType:
    """The module `t5.data.tasks`; importing it registers T5's tasks with seqio."""
    t5_postprocessors()
    with _without_startup_messages(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import t5.data.tasks as module
    return module
