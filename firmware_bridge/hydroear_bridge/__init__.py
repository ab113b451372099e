"""The firmware bridge: samples from a sensor microcontroller."""
