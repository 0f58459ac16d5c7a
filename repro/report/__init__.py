"""One self-contained HTML page: what the paper printed, what was measured, how sure, at what cost.

Everything that comes from data is escaped. Results, claims, figures and Tables 1 to 5 need no
script; the long lists and the breakdowns start folded, and the script builds them when they are
opened. It also adds sorting, filters, CSV, zoom and each cell's provenance. A content security
policy admits that one script and style sheet by their hashes and forbids the network. The page has
no date, so equal records and options give equal bytes. Of several sets of records each has its own
page, and an index has the result of each.
"""

from repro.report.outcomes import Outcomes
from repro.report.page import Study, page, write_index, write_report

__all__ = ["Outcomes", "Study", "page", "write_index", "write_report"]
