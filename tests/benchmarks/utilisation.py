"""Model FLOPs utilisation: useful FLOPs per second over what the device could do in bfloat16."""

from __future__ import annotations

# Dense bfloat16 FLOPs per second of one device, as JAX names it, from the vendors' data sheets.
# The first name that the device's name begins with counts.
PEAKS = {
    "TPU v4": 275e12,
    "TPU v5 lite": 197e12,
    "TPU v5e": 197e12,
    "TPU v5p": 459e12,
    "TPU v5": 459e12,
    "TPU v6 lite": 918e12,
    "TPU v6e": 918e12,
    "NVIDIA A100": 312e12,
    "NVIDIA H100 PCIe": 756e12,
    "NVIDIA H100 NVL": 835e12,
    "NVIDIA H100": 989e12,
    "NVIDIA H200 NVL": 835e12,
    "NVIDIA H200": 989e12,
    "NVIDIA L4": 121e12,
}


def peak_of(device_kind: str) -> tuple[str, float] | None:
    """Name and dense bfloat16 FLOPs per second of a device, if they are known.

    >>> peak_of("NVIDIA H100 80GB HBM3")
    ('NVIDIA H100', 989000000000000.0)
    >>> peak_of("NVIDIA L40S")  # not an L4
    >>> [peak_of(name)[0] for name in ("NVIDIA L4", "NVIDIA H100 PCIe", "TPU v5 lite")]
    ['NVIDIA L4', 'NVIDIA H100 PCIe', 'TPU v5 lite']
    """
    for name, peak in PEAKS.items():
        if device_kind == name or device_kind.startswith((f"{name} ", f"{name}-")):
            return name, peak
    return None


def describe(flops: float, seconds: float, device_kind: str) -> dict[str, object]:
    """Achieved FLOPs per second of one device, and the share of its peak.

    Args:
      flops: of one step on one device.
      seconds: of that step.
      device_kind: as JAX names the device.

    >>> facts = describe(2.75e12, 0.1, "TPU v4")
    >>> round(facts["mfu"], 6), facts["divided_by"]
    (0.1, 'TPU v4: 2.75e+14 dense bfloat16 FLOPs per second')
    >>> describe(1e12, 0.5, "an unknown device")
    {'flops_per_second': 2000000000000.0, 'mfu': None, 'divided_by': None}
    """
    rate = flops / seconds
    known = peak_of(device_kind)
    if known is None:
        return {"flops_per_second": rate, "mfu": None, "divided_by": None}
    name, peak = known
    return {
        "flops_per_second": rate,
        "mfu": rate / peak,
        "divided_by": f"{name}: {peak:.3g} dense bfloat16 FLOPs per second",
    }
