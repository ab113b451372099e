"""Tables in Markdown."""

from __future__ import annotations

from collections.abc import Sequence


def table(head: Sequence[str], body: Sequence[Sequence[str]], *, left: int = 1) -> list[str]:
    """The lines of a table; the first `left` columns are words, the others numbers."""
    rule = [*["---"] * left, *["---:"] * (len(head) - left)]
    return [f"| {' | '.join(cells)} |" for cells in (head, rule, *body)]
