"""Puts the synthetic records, shared by several areas, within reach; one page for all tests."""

import sys
from pathlib import Path

import pytest

from analysis.schema.nodes import Nodes
from repro import report

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "records")]


@pytest.fixture(scope="session")
def study():
    """Two runs a cell, each with its node."""
    import traced_study

    return traced_study.study()


@pytest.fixture(scope="session")
def nodes(study):
    """Of every node of the study."""
    import traced_study

    return Nodes.of(traced_study.provenance(study))


@pytest.fixture(scope="session")
def page(study, nodes):
    """The page of the study."""
    import synthetic_records

    return report.page(report.Outcomes(study, synthetic_records.timing()), nodes)
