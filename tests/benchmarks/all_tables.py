"""Makes every table there is of the published numbers in every format, in one process."""

from __future__ import annotations

import tables
from analysis.schema import published


def main() -> None:
    made = [
        tables.render(module.compute(published.load(number)), format)
        for number, module in tables.REGISTRY.items()
        for format in tables.FORMATS
    ]
    print(f"{len(made)} of {len(tables.REGISTRY)} tables, {sum(map(len, made))} characters")


if __name__ == "__main__":
    main()
