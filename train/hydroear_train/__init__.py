"""The trainer: from recordings of normal pipes to a bundle that a unit can run."""
