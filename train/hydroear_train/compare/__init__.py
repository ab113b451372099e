"""The horizontal comparison: every feature and extractor with every back-end, on the same splits, in one table.

``plan`` says which rows there are, ``splits`` and ``simulated`` who is heard by whom, ``sources`` turn recordings into
vectors, ``run`` scores them, ``table`` measures the scores, ``figures`` and ``report`` show them. Whatever took time to
make is kept in a ``cache``.
"""
