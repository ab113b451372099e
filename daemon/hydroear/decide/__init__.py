"""From scores to states: a leak is what stays."""

from hydroear.decide.decider import Decider, Policy, State
from hydroear.decide.event import OpenEvent

__all__ = ["Decider", "OpenEvent", "Policy", "State"]
