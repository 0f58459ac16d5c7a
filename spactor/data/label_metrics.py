"""How a model used the labels of a classification: is it answering, and is it choosing?

Both numbers stand beside a task's scores and are in no average. Functions in seqio's form, for a
Task of any source whose postprocessor turns an answer that is no label into -1, as T5's do.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence

INVALID_RATE = "invalid_rate"
"""Answers that are no label, in per cent; each of them is counted as wrong."""
PREDICTED_CLASSES = "predicted_classes"
"""Different answers given, all that is no label being one of them; 1 is a collapsed run."""
NO_LABEL = -1


def label_use(targets: Sequence[Hashable], predictions: Sequence[Hashable]) -> Mapping[str, float]:
    """Share of answers that are no label, and number of different answers.

    >>> label_use([0, 1, 1, 0], [1, 1, -1, 1])
    {'invalid_rate': 25.0, 'predicted_classes': 2.0}
    """
    del targets
    invalid = sum(answer == NO_LABEL for answer in predictions)
    return {
        INVALID_RATE: 100.0 * invalid / len(predictions),
        PREDICTED_CLASSES: float(len(set(predictions))),
    }
