"""Benchmarks measure optimized programs on the machine's own devices, or fail."""

import os

import pytest


@pytest.fixture(autouse=True)
def _programs_are_optimized(request: pytest.FixtureRequest) -> None:
    if request.node.get_closest_marker("benchmark") and "SPACTOR_BENCHMARKS" not in os.environ:
        pytest.fail(
            "XLA's programs are not optimized in tests (tests/conftest.py): run "
            "`python -m nox -s bench`, or set SPACTOR_BENCHMARKS=1"
        )
