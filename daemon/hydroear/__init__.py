"""The field daemon: hears leaks in water mains on a small Linux unit."""

__version__ = "0.1.0"
