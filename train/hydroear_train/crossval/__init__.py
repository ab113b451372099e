"""Cross-validation of a recipe as a unit would run it: every fold of every group scored by what never heard it."""
