"""A soak: many simulated sensor-nights through the daemon's own commands, and real noises over real recordings."""
