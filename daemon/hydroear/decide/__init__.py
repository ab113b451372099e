"""From scores to states: a leak is what stays."""

from hydroear.decide.decider import Decider, Miss, Policy, State
from hydroear.decide.event import OpenEvent

__all__ = ["Decider", "Miss", "OpenEvent", "Policy", "State"]
