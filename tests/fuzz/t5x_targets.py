"""What the T5X engine leaves in a checkpoint of T5X beside the arrays, as targets."""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from target import Target, put

_STATE = "run/checkpoint_4/dataset/train_ds-000-of-001"
_RECORD, _EARLY = f"{_STATE}.json", f"{_STATE}.pending.npz"
_INDEX, _DATA = f"{_STATE}.index", f"{_STATE}.data-00000-of-00001"
_FACTS = {"seed": 5, "vocabulary": "410-_Vocabulary", "processes": 1}


@functools.cache
def _stream(folder: Path) -> Any:
    """One for all inputs, as a restored stream forgets what it was before."""
    from spactor.data import host_tensorflow
    from spactor.t5x import stream

    tf, _ = host_tensorflow.tensorflow_text()
    chunks = tf.data.Dataset.range(40).map(lambda number: {"targets": tf.fill([7], number)})
    return stream.TrainStream(
        chunks.repeat().batch(2, drop_remainder=True),
        facts=_FACTS,
        first_row=0,
        numbered=True,
        home=str(folder / "run"),
        elsewhere="continue",
    )


@functools.cache
def _files() -> Mapping[str, bytes]:
    """A checkpoint's data state, one batch ahead of its step, by path."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / _STATE).parent.mkdir(parents=True)
        source = _stream(folder)
        # As after a restart: the first batch since then was read too early.
        source._position = 4
        next(source)
        source.save(folder / _STATE)
        return {
            str(path.relative_to(folder)): path.read_bytes()
            for path in folder.rglob("*")
            if path.is_file()
        }


def _place(file: str) -> Callable[[bytes, Path], None]:
    def place(data: bytes, folder: Path) -> None:
        for path, content in _files().items():
            put(folder / path, data if path == file else content)

    return place


def _read_stream(folder: Path) -> object:
    source = _stream(folder)
    source.restore(folder / _STATE)
    return next(source), next(source)


def _read_vocabulary(folder: Path) -> None:
    """What is asked of a checkpoint that training begins from."""
    from etils import epath

    from spactor.t5x import restore

    restore._require_same_vocabulary(epath.Path(folder / "run" / "checkpoint_4"), _Vocabulary())


class _Vocabulary:
    vocab_size = 410


def _target(name: str, file: str, kind: str, *readers: str, **own: Any) -> Target:
    return Target(
        name=name,
        readers=readers,
        kind=kind,
        seeds=lambda: [_files()[file]],
        place=_place(file),
        needs=("clu", "tensorflow", "seqio"),
        **({"read": _read_stream} | own),
    )


TARGETS: tuple[Target, ...] = (
    _target("t5x-stream-record", _RECORD, "json", "spactor.t5x.stream_record.read"),
    _target("t5x-stream-batch", _EARLY, "npz", "spactor.t5x.stream.TrainStream._read_early"),
    _target("t5x-stream-index", _INDEX, "bytes", "spactor.t5x.stream.TrainStream.restore"),
    _target("t5x-stream-state", _DATA, "bytes", "spactor.t5x.stream.TrainStream.restore"),
    _target(
        "t5x-vocabulary",
        *(_RECORD, "json", "spactor.t5x.restore._require_same_vocabulary"),
        read=_read_vocabulary,
    ),
)
