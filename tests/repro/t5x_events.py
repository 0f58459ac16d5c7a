"""Event files as a start of T5X writes them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


def write_start(
    folder: Path,
    lines: Mapping[int, Mapping[str, float]],
    *,
    time: int | None = None,
    seed: int | None = None,
) -> None:
    """Writes the two event files of one start.

    Args:
      folder: of the run.
      lines: values by step, with the names that `repro.t5x_folder` gives them.
      time: of the start, in the files' names; by default it is the current one.
      seed: in the configuration of the start; without it none is written.
    """
    # Of the extra `train`, as is what writes it.
    from spactor.metrics import Events

    for number, name in enumerate(("train", "training_eval/task")):
        prefix = "validation/" if number else "train/"
        events = Events(folder / name)
        if time is not None:
            path = Path(events._file.name)
            path.rename(path.with_name(f"events.out.tfevents.{time}.vm.1.{number}.v2"))
        if seed is not None and not number:
            summary = events._summary()
            value = summary.value.add(tag="config")
            value.tensor.dtype = 7
            text = f"    RANDOM_SEED = {seed}\n    MODEL_DIR = '/elsewhere'\n"
            value.tensor.string_val.append(text.encode())
            value.metadata.plugin_data.plugin_name = "text"
            events._append(step=0, summary=summary)
        for step, values in lines.items():
            own = {k: v for k, v in values.items() if k.startswith("validation/") == bool(number)}
            events.write(step, {k.removeprefix(prefix): v for k, v in own.items()})
        events.close()
