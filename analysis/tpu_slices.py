"""TPU slices: types, topologies, hosts and Cloud TPU's names.

Source: Google's pages on Cloud TPU versions and their configurations.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from spactor.errors import UserError

_CUBES = ("2x2x1", "2x2x2", "2x2x4", "2x4x4", "4x4x4", "4x4x8", "4x8x8", "8x8x8", "8x8x16")
_SQUARES = ("2x2", "2x4", "4x4", "4x8", "8x8", "8x16", "16x16")


@dataclass(frozen=True)
class TpuType:
    """A generation of TPUs.

    Attributes:
      peak_flops: dense bfloat16 FLOPs per second of one chip.
      memory_bytes: bytes of memory of one chip.
      cloud_name: first part of Cloud TPU's names of slices.
      counted: units per chip in the number after ``cloud_name``: 2 if it counts cores, else 1.
      runtime: Cloud TPU's software version for JAX.
      topologies: topologies of slices, the smallest first.
      largest_host: chips of the largest slice with one host; larger slices have 4 chips per host.
      chip_config: libtpu's chip configuration, which decides the devices that JAX lists; None for
        the default.
    """

    peak_flops: float
    memory_bytes: int
    cloud_name: str
    counted: int
    runtime: str
    topologies: tuple[str, ...]
    largest_host: int
    chip_config: str | None = None


TPU_TYPES = {
    # Both cores of a v4 chip are one JAX device.
    "v4": TpuType(275e12, 32 * 2**30, "v4", 2, "tpu-ubuntu2204-base", _CUBES, 4, "megacore"),
    "v5e": TpuType(197e12, 16 * 2**30, "v5litepod", 1, "v2-alpha-tpuv5-lite", _SQUARES, 8),
    "v5p": TpuType(459e12, 95 * 2**30, "v5p", 2, "v2-alpha-tpuv5", _CUBES, 4),
    "v6e": TpuType(918e12, 32 * 2**30, "v6e", 1, "v2-alpha-tpuv6e", _SQUARES, 8),
}
_CHIPS_PER_HOST = 4


@dataclass(frozen=True)
class Slice:
    """A TPU slice: connected chips of one type in a topology.

    >>> pod = Slice.of("v4", "4x4x4")
    >>> pod.chips, pod.hosts, pod.chips_per_host, pod.cloud_name, str(pod)
    (64, 16, 4, 'v4-128', 'v4:4x4x4')
    >>> lite = Slice.parse("v5e:2x4")
    >>> lite.chips, lite.hosts, lite.chips_per_host, lite.cloud_name
    (8, 1, 8, 'v5litepod-8')
    """

    tpu: str
    topology: str

    @classmethod
    def of(cls, tpu: str, topology: str) -> Slice:
        """Returns the slice of a type and topology.

        Raises:
          UserError: the type is unknown, or Cloud TPU does not offer the topology for it.
        """
        if tpu not in TPU_TYPES:
            raise UserError(f"unknown TPU type {tpu!r}: give one of {', '.join(TPU_TYPES)}")
        known = TPU_TYPES[tpu].topologies
        if topology not in known:
            raise UserError(f"{tpu} has no topology {topology!r}: give one of {', '.join(known)}")
        return cls(tpu, topology)

    @classmethod
    def parse(cls, text: str) -> Slice:
        """Parses a slice such as ``v4:4x4x4``.

        Raises:
          UserError: see :meth:`of`.
        """
        tpu, _, topology = text.partition(":")
        return cls.of(tpu, topology)

    @classmethod
    def with_chips(cls, tpu: str, chips: int) -> Slice:
        """Returns the slice of a type with a number of chips; every type has slices of 8 and 64.

        Raises:
          UserError: the type is unknown, or has no slice with so many chips.

        >>> str(Slice.with_chips("v6e", 64)), str(Slice.with_chips("v5p", 8))
        ('v6e:8x8', 'v5p:2x2x2')
        """
        known = TPU_TYPES[tpu].topologies if tpu in TPU_TYPES else ("",)
        fitting = [topology for topology in known if _product(topology) == chips]
        return cls.of(tpu, fitting[0] if fitting else str(chips))

    @property
    def type(self) -> TpuType:
        """Type of the TPU."""
        return TPU_TYPES[self.tpu]

    @property
    def chips(self) -> int:
        """Number of chips in the slice."""
        return _product(self.topology)

    @property
    def hosts(self) -> int:
        """Number of host machines; each runs the job's command."""
        return 1 if self.chips <= self.type.largest_host else self.chips // _CHIPS_PER_HOST

    @property
    def chips_per_host(self) -> int:
        """Number of chips of each host."""
        return self.chips // self.hosts

    @property
    def cloud_name(self) -> str:
        """Cloud TPU's accelerator type."""
        return f"{self.type.cloud_name}-{self.chips * self.type.counted}"

    def __str__(self) -> str:
        return f"{self.tpu}:{self.topology}"


def _product(topology: str) -> int:
    return math.prod(int(size) for size in topology.split("x") if size)
