"""Set before anything imports JAX: two simulated devices, so that sharding bugs show."""

import os

# Benchmarks measure the machine as it is.
if "SPACTOR_BENCHMARKS" not in os.environ:
    os.environ["XLA_FLAGS"] = (
        os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=2"
    ).strip()
