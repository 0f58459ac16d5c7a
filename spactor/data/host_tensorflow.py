"""Imports of TensorFlow, seqio and T5, without their start-up messages and on the CPU alone."""

from __future__ import annotations

import contextlib
import functools
import importlib
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
def _imported(name: str) -> ModuleType:
    with _without_startup_messages(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return importlib.import_module(name)


@functools.cache
def seqio() -> ModuleType:
    """The module `seqio`, with TensorFlow kept off accelerators.

    Raises:
      UserError: the ``train`` extra is not installed.
    """
    try:
        module, tensorflow = _imported("seqio"), _imported("tensorflow")
    except ImportError as error:
        raise UserError(
            f"{error.name or 'seqio'} is not installed: install this project with its 'train' extra"
        ) from error
    # TensorFlow would otherwise take all of a GPU's memory from JAX.
    with _without_startup_messages():
        tensorflow.config.set_visible_devices([], "GPU")
        tensorflow.config.set_visible_devices([], "TPU")
    return module


def _after_seqio(name: str) -> ModuleType:
    seqio()
    return _imported(name)


def tensorflow() -> ModuleType:
    """The module `tensorflow`."""
    return _after_seqio("tensorflow")


def tensorflow_text() -> ModuleType:
    """The module `tensorflow_text`."""
    return _after_seqio("tensorflow_text")


def t5_metrics() -> ModuleType:
    """The module `t5.evaluation.metrics`."""
    return _after_seqio("t5.evaluation.metrics")


def t5_postprocessors() -> ModuleType:
    """The module `t5.data.postprocessors`."""
    return _after_seqio("t5.data.postprocessors")


def t5_tasks() -> ModuleType:
    """The module `t5.data.tasks`; importing it registers T5's tasks with seqio."""
    return _after_seqio("t5.data.tasks")
