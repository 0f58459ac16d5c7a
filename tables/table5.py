"""Table 5: architecture and pre-training settings of both sizes.

Claims: Base and Large differ in depth, width, the generator and the masking ratio alone.

Measured: the settings of the profile's runs, which ``repro collect`` records.
"""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from analysis.required import RequiredRun
from analysis.rounding import Style
from analysis.schema.facts import SIZES, size_label
from analysis.schema.records import sole_profile
from analysis.schema.rows import of_metrics
from tables.cells import MISSING, Cell, Column, Row, Table
from tables.notes import caption_origin, notes_on_cells, notes_on_missing

NUMBER = 5
DOC = __doc__
LABEL_COLUMNS = (Column("parameter", "Parameter"),)
COLUMNS = tuple(Column(size, f"T5-{size_label(size)}") for size in SIZES)

requires: tuple[RequiredRun, ...] = ()
"""Empty, since settings are known before anything runs."""
reads = of_metrics("setting/")


@dataclass(frozen=True)
class Parameter:
    """A row of the table: settings in one cell, and their format.

    Attributes:
      heading: label of the row.
      settings: metrics of the settings, without the prefix ``setting/``.
      styles: style of each setting.
      pattern: format of the cell, with one {} for each setting.
    """

    heading: str
    settings: tuple[str, ...]
    styles: tuple[Style, ...] = ("plain",)
    pattern: str = "{}"


PARAMETERS = (
    Parameter("Discriminator Layers", ("discriminator_layers",)),
    Parameter("Discriminator Num Heads", ("discriminator_heads",)),
    Parameter("Discriminator Hidden Dimension", ("discriminator_emb_dim",)),
    Parameter("Discriminator MLP Size", ("discriminator_mlp_dim",)),
    Parameter("RTD Head MLP Size", ("rtd_mlp_dim",)),
    Parameter("RTD Head MLP Activation", ("rtd_activation",)),
    Parameter("Generator Layers", ("generator_layers",)),
    Parameter("Generator MLP Size", ("generator_mlp_dim",)),
    Parameter("Input Length", ("input_length",)),
    Parameter("Batch Size", ("batch_size",)),
    Parameter(
        "Span Corruption",
        ("noise_density", "mean_noise_span_length"),
        ("percent", "plain"),
        "(r = {}, μ = {})",
    ),
    Parameter("MLM Ratio", ("mlm_ratio",), ("percent",)),
    Parameter("Warmup Steps", ("warmup_steps",), ("thousands",), "κ = {}"),
    Parameter("Learning Rate Schedule", ("learning_rate_schedule",)),
    Parameter("(λ₁, λ₂)", ("lambda_rtd", "lambda_sc"), ("plain", "plain"), "({}, {})"),
)


def compute(records: pd.DataFrame) -> Table:
    """Computes the table from the settings of one source and profile.

    Raises:
      UserError: the records mix profiles.
    """
    source, profile = sole_profile(records)
    settings = records[records["metric"].str.startswith("setting/")]
    found = {
        (row["size"], row["metric"].removeprefix("setting/")): row
        for row in settings.to_dict("records")
    }
    rows = tuple(
        Row((parameter.heading,), tuple(_cell(parameter, size, found) for size in SIZES))
        for parameter in PARAMETERS
    )
    return Table(
        number=NUMBER,
        source=source,
        profile=profile,
        caption=f"Table 5 ({caption_origin(source, profile)}). "
        "Architecture and pre-training settings.",
        label_columns=LABEL_COLUMNS,
        columns=COLUMNS,
        rows=rows,
        footnotes=(*notes_on_cells(COLUMNS, rows), *notes_on_missing(rows, "setting")),
    )


def _cell(parameter: Parameter, size: str, found: dict[tuple[str, str], dict]) -> Cell:
    parts = []
    for setting, style in zip(parameter.settings, parameter.styles, strict=True):
        row = found.get((size, setting))
        if row is None:
            parts.append(MISSING)
        elif pd.isna(row["value"]):
            parts.append(Cell(label=row["text"], name=setting, note=row["note"]))
        else:
            parts.append(
                Cell(
                    float(row["value"]),
                    decimals=2 if pd.isna(row["decimals"]) else int(row["decimals"]),
                    style=style,
                    name=setting,
                    note=row["note"],
                    statistic="exact",
                )
            )
    if all(part.missing for part in parts):
        return MISSING
    return Cell(parts=tuple(parts), pattern=parameter.pattern)
