"""A process on one core that corrupts text on request, by this project's code or by T5's.

Run as ``python pinned_worker.py ours|t5 CORE``. It answers each line, a number of examples, with
a line of JSON: wall-clock and processor seconds. The first line it writes says it is ready.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable

CHUNK_TOKENS = 568
BATCH = 256


def _ours() -> Callable[[], object]:
    import jax
    import numpy as np

    from spactor import corruption
    from spactor.config import PAPER
    from spactor.data.vocabulary import VocabularyFacts
    from spactor.keys import row_keys

    vocabulary = VocabularyFacts.of_pieces(32_000)
    tokens = np.random.default_rng(0).integers(3, 32_000, (BATCH, CHUNK_TOKENS)).astype(np.int32)

    @jax.jit
    def corrupt(tokens: jax.Array, count: jax.Array) -> object:
        keys = row_keys(jax.random.fold_in(jax.random.key(0), count), BATCH)
        return corruption.corrupt(tokens, keys, PAPER["base"].lengths, vocabulary)

    count = 0

    def batch() -> object:
        nonlocal count
        count += 1
        return jax.block_until_ready(corrupt(tokens, count))

    return batch


def _t5() -> Callable[[], object]:
    from spactor.data import host_tensorflow

    seqio = host_tensorflow.seqio()
    import numpy as np
    import tensorflow as tf
    from t5.data import preprocessors

    vocabulary = seqio.PassThroughVocabulary(32_100, eos_id=1)
    features = {name: seqio.Feature(vocabulary, add_eos=True) for name in ("inputs", "targets")}
    tokens = np.random.default_rng(0).integers(3, 32_000, (BATCH, CHUNK_TOKENS)).astype(np.int32)
    dataset = tf.data.Dataset.from_tensor_slices({"inputs": tokens, "targets": tokens}).repeat()
    dataset = preprocessors.denoise(
        dataset,
        features,
        noise_density=0.15,
        noise_mask_fn=lambda length, density, seeds: preprocessors.random_spans_noise_mask(
            length, density, seeds, mean_noise_span_length=3.0
        ),
        inputs_fn=preprocessors.noise_span_to_unique_sentinel,
        targets_fn=preprocessors.nonnoise_span_to_unique_sentinel,
    )
    # End tokens and decoder inputs, which ours makes too.
    dataset = seqio.preprocessors.append_eos(dataset, features)
    converter = seqio.EncDecFeatureConverter(pack=False)
    dataset = converter(dataset, {"inputs": 512, "targets": 114})
    batches = iter(dataset.batch(BATCH, drop_remainder=True).as_numpy_iterator())
    return lambda: next(batches)


def main() -> None:
    engine, core = sys.argv[1:]
    os.sched_setaffinity(0, {int(core)})  # before any library starts its threads
    batch = {"ours": _ours, "t5": _t5}[engine]()
    batch()
    print("ready", flush=True)
    processor = time.process_time()
    for line in sys.stdin:
        wall = time.perf_counter()
        for _ in range(int(line) // BATCH):
            batch()
        # Counted from the last answer: a pipeline goes on filling its buffers in between.
        before, processor = processor, time.process_time()
        facts = {
            "wall_seconds": time.perf_counter() - wall,
            "processor_seconds": processor - before,
        }
        print(json.dumps(facts), flush=True)


if __name__ == "__main__":
    main()
