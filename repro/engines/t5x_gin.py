"""Writes the shipped gin files with the paper's values: ``python -m repro.engines.t5x_gin``.

The values are those of the profile `paper`. A test fails while the files differ from them.
"""

from __future__ import annotations

from analysis.compiled.t5x_step import GIN
from repro.engines import t5x_gin_text
from repro.specs import load_profile

_FINETUNING = {
    "finetune": ("glue", "Fine-tuning"),
    "finetune_flan": ("mmlu", "Fine-tuning of FLAN-style suites"),
}
"""By file, a suite that is fine-tuned in this way, and the file's title."""


def texts() -> dict[str, str]:
    """Returns the files by name."""
    profile = load_profile("paper")
    written = "Written by `python -m repro.engines.t5x_gin`; don't edit."
    files = {
        f"{name}.gin": t5x_gin_text.size_text(size, f"Size {name} (Table 5). {written}")
        for name, size in profile.sizes.items()
    }
    for name, (suite, title) in _FINETUNING.items():
        about = f"{title} (Appendix A.2). {written}"
        files[f"{name}.gin"] = t5x_gin_text.finetuning_text(profile.finetuning[suite], about)
    return files


if __name__ == "__main__":
    for name, text in texts().items():
        (GIN / name).write_text(text, encoding="utf-8")
