"""One study and one page of it for all tests of the report."""

import pytest
import synthetic_records
import traced_study

from analysis.schema.nodes import Nodes
from repro import report


@pytest.fixture(scope="session")
def study():
    """Two runs a cell, each with its node."""
    return traced_study.study()


@pytest.fixture(scope="session")
def nodes(study):
    """Provenance of every node of the study."""
    return Nodes.of(traced_study.provenance(study))


@pytest.fixture(scope="session")
def page(study, nodes):
    """The page of the study."""
    return report.page(report.Outcomes(study, synthetic_records.timing()), nodes)
