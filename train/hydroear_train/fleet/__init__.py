"""Many simulated units and a real broker: how soon alarms arrive, and how all come back after it died."""
