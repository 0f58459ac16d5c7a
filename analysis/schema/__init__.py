"""Schema of all numbers: records, the paper's printed numbers, and facts that both use.

``analysis``, ``tables`` and ``figures`` import this package, which imports neither JAX nor
TensorFlow.
"""
