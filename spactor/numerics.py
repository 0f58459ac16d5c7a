"""Settings of JAX, XLA and TensorFlow that change numbers: pinned, or part of the fingerprint."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

SETTINGS: Mapping[str, Any] = {
    "jax_default_prng_impl": "threefry2x32",
    "jax_threefry_partitionable": True,
    "jax_random_seed_offset": 0,
    "jax_high_dynamic_range_gumbel": False,
    "jax_enable_custom_prng": False,
    "jax_enable_x64": False,
    "jax_default_matmul_precision": None,
    "jax_softmax_custom_jvp": False,
    "jax_disable_jit": False,
    "jax_disable_most_optimizations": False,
    "jax_compiler_enable_remat_pass": True,
    "jax_exec_time_optimization_effort": 0.0,
    "jax_optimization_level": "UNKNOWN",
}
"""Pinned values by the name of the option in ``jax.config``; part of every node's identity."""

REMOVED = (
    *("TF_ENABLE_ONEDNN_OPTS", "TF_DISABLE_MKL", "TF_XLA_FLAGS"),
    *("TF_DETERMINISTIC_OPS", "TF_CUDNN_DETERMINISTIC", "NVIDIA_TF32_OVERRIDE"),
)
"""Environment variables that change arithmetic in libraries of JAX and TensorFlow; a training
process starts without them."""

ONE_THREAD: Mapping[str, str] = {"NPROC": "1", "PJRT_NPROC": "1"}
"""Environment variables with which XLA uses one thread on a CPU instead of one per core, since the
order of its sums depends on the number of threads. Read when JAX starts."""

_HARMLESS = (
    *("--xla_force_host_platform_device_count", "--xla_dump_", "--xla_gpu_cuda_data_dir"),
    *("--xla_hlo_profile", "--xla_gpu_per_fusion_autotune_cache_dir"),
)


def apply() -> None:
    """Applies the settings that the installed JAX has to this process."""
    import jax

    for name, value in SETTINGS.items():
        if name in jax.config.values:
            jax.config.update(name, value)


def environment(given: Mapping[str, str]) -> dict[str, str]:
    """Returns the environment variables of a training process: those given, with pinned settings.

    >>> pinned = environment({"JAX_ENABLE_X64": "1", "TF_XLA_FLAGS": "--tf_xla_auto_jit=2"})
    >>> pinned["JAX_ENABLE_X64"], "TF_XLA_FLAGS" in pinned
    ('False', False)
    """
    pinned = {name.upper(): value for name, value in SETTINGS.items()}
    kept = {name: text for name, text in given.items() if name not in {*REMOVED, *pinned}}
    return kept | {name: str(value) for name, value in pinned.items() if value is not None}


def xla_flags(given: Mapping[str, str]) -> list[str]:
    """Returns the XLA flags in environment variables that may change numbers, sorted.

    The number of devices and paths change no numbers and are left out.

    >>> xla_flags({"XLA_FLAGS": "--xla_dump_to=/tmp/x --xla_cpu_enable_fast_math=true"})
    ['--xla_cpu_enable_fast_math=true']
    """
    texts = [given.get(name, "") for name in ("XLA_FLAGS", "LIBTPU_INIT_ARGS")]
    if texts[0] and not texts[0].lstrip().startswith("-") and Path(texts[0]).is_file():
        texts[0] = Path(texts[0]).read_text("utf-8")  # XLA reads a file of flags as well.
    found = {flag for text in texts for flag in shlex.split(text)}
    return sorted(flag for flag in found if not flag.startswith(_HARMLESS))
