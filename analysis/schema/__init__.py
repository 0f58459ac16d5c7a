"""One schema for all numbers: records, the numbers the paper printed, and the facts both share.

The ground of ``analysis``, ``tables`` and ``figures``. Nothing here imports JAX or TensorFlow.
"""
