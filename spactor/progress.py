"""The callback through which a run reports progress; importing it loads no numerical library."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol


class Observer(Protocol):
    """Called after every logged step, for example by a progress bar."""

    def __call__(
        self,
        step: int,
        end_step: int,
        values: Mapping[str, float],
        sequences_per_second: float,
    ) -> None:
        """Receives the step, the last step of the run, the logged values and the speed.

        The speed is NaN where no step was timed, as when the first step is logged.
        """
