"""The one place that wires the path of a sample, and stops it in reverse."""
