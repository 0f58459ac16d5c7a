"""Training steps compiled ahead of time for TPU slices: FLOPs, memory and collectives of one chip.

Two programs are compiled at the paper's sizes, batch and lengths, on a CPU host without TPUs:
``local_step``, the step of ``spactor.step``, and ``t5x_step``, the step of T5X's trainer on our
models. A program takes minutes to compile, so the measurements are stored in JSON files in this
folder (``measurements``), each with a fingerprint of its inputs; the commands ``repro compile`` and
``repro compile --t5x`` repeat measurements that are missing or out of date.

``slices`` starts the compiling process, ``hlo`` reads the compiled program's text, and
``t5x_process`` is the process that compiles T5X's step. JAX, libtpu (the extra ``tpu-compile``) and
T5X are imported inside functions, so reading stored measurements needs none.
"""
