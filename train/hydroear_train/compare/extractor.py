"""Extractors: a recipe trained on the normals of each split, heard as a unit hears, on the int8 models."""

from __future__ import annotations

from hydroear_train.compare.source import Cost
from hydroear_train.compare.vectors import Vectors
from hydroear_train.splits import Split
from hydroear_train.trial import SITE, Trials

PRODUCT_AE, PRODUCT_SITE = "product-ae", "product-site"
PRODUCT_BACKENDS = (PRODUCT_AE, PRODUCT_SITE)
"""The bundle's own autoencoder, and what a calibrated unit makes of it together with the site head."""


class Extractor:
    """A recipe.

    Parameters
    ----------
    trials
        Bundles that it gives for splits, and what they hear.
    """

    seeded = True

    def __init__(self, trials: Trials) -> None:
        self.name, self._trials = trials.name, trials

    def key(self, split: Split, seed: int) -> object:
        """What the vectors depend on."""
        return self._trials.key(split, seed)

    def vectors(self, split: Split, seed: int) -> Vectors:
        """Whitened embeddings of a split."""
        heard = self._trials.heard(split, seed)
        return Vectors(
            normal=heard["normal"],
            normal_recording=heard["normal_recording"],
            test=heard["test"],
            test_recording=heard["recording"],
            start_s=heard["start_s"],
            leak=None,
            own_scores={PRODUCT_AE: heard["error"], PRODUCT_SITE: heard[SITE]},
        )

    def cost(self, split: Split, seed: int) -> Cost:
        """What it costs on a unit."""
        bundle = self._trials.bundle(split, seed)
        return Cost(
            len(bundle.extractor) + len(bundle.autoencoder), float(self._trials.heard(split, seed)["latency_ms"])
        )
