"""Tests that feed damaged input: a few hundred cases each time, as many as one likes with ``make fuzz``."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, settings


def fuzz(usual_cases: int) -> Callable[[Any], Any]:
    """Decorate a test with hypothesis to be one of these; `usual_cases` unless ``FUZZ_CASES`` says otherwise."""
    cases = int(os.environ.get("FUZZ_CASES", usual_cases))
    limits = settings(max_examples=cases, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

    def decorate(test: Any) -> Any:
        return pytest.mark.fuzz(limits(test))

    return decorate
