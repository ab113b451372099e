"""The configuration of a unit: its schema and the loader."""
