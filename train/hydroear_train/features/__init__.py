"""Control features: what the field used before it learned its features, one vector a window."""

from hydroear_train.features.control import FEATURES, control_features

__all__ = ["FEATURES", "control_features"]
