"""One self-contained HTML page: what the paper printed, what was measured, how sure, at what cost.

Everything that comes from data is escaped. The page is whole without its script, which adds
sorting, filters, zoom and each cell's provenance; a content security policy admits that one script
and style sheet by their hashes and forbids the network. It has no date, so equal records give
equal bytes.
"""

from repro.report.outcomes import Outcomes
from repro.report.page import page, write_report

__all__ = ["Outcomes", "page", "write_report"]
