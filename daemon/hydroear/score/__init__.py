"""From a window to how improbable it is on a normal pipe."""

from hydroear.score.scorer import Score, Scorer
from hydroear.score.site import Parts, SiteCalibration, SiteScore, SiteScorer, calibrate

__all__ = ["Parts", "Score", "Scorer", "SiteCalibration", "SiteScore", "SiteScorer", "calibrate"]
