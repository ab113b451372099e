"""All that is here takes minutes, and installs packages in Debian roots: ``make test-package`` runs it."""

from __future__ import annotations

from pathlib import Path

import pytest

import debian


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is in this folder."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.package)
            item.add_marker(pytest.mark.timeout(1800))


@pytest.fixture(autouse=True, scope="session")
def _possible() -> None:
    if reason := debian.why_not():
        pytest.skip(reason)
