"""The site: what a sensor's own pipe sounds like when it is well, learned on the unit with numpy alone.

An extractor trained elsewhere meets a pipe it never heard. The site therefore has its own mean of each band, its own
head (mean and covariance of the embedding) and its own distribution of scores, so that one threshold means the same
on every unit.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, astuple, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hydroear.dsp import Flutter, Window
from hydroear.errors import BundleError, CalibrationError
from hydroear.model import Bundle
from hydroear.score.distribution import Distribution
from hydroear.score.floor import SiteFloor, StretchMeter
from hydroear.score.persistence import CONDITION_S, Trace
from hydroear.score.scorer import Score, Scorer
from hydroear.score.sitefile import site_file

if TYPE_CHECKING:
    from hydroear.score.adaptation import Adaptation

SCHEMA = "hydroear/site/2"
MIN_INDEPENDENT_WINDOWS = 3
_QUIETEST_PERCENTILE = 1.0
_UNISON_PERCENTILE = 75.0
_KEPT = 0.75
_TRIMMING_STEPS = 4


@dataclass(frozen=True, eq=False)
class SiteHead:
    """Mean and covariance of the whitened embedding at a site.

    Attributes
    ----------
    mean
        float64, shape (whitened,).
    whitening
        float64, shape (whitened, whitened): inverse Cholesky factor of the covariance.
    """

    mean: NDArray[np.float64]
    whitening: NDArray[np.float64]

    @classmethod
    def fit(cls, embeddings: NDArray[np.float32], *, conditions: float) -> SiteHead:
        """Estimate from embeddings, shape (n, whitened), of windows under some number of operating conditions.

        The covariance is the posterior mean under an inverse-Wishart prior around the identity, which is what the
        embedding's covariance is over the trainer's normals; the prior counts as many conditions as there are
        dimensions (A. Gelman et al., "Bayesian Data Analysis", 3rd ed., 2013, section 3.6). The farthest quarter of the
        windows is left out, again and again, as in the concentration steps of P. J. Rousseeuw and K. Van Driessen, "A
        fast algorithm for the minimum covariance determinant estimator", Technometrics 41, 1999: somebody draws water
        while a site is learned.
        """
        kept = embeddings
        for _ in range(_TRIMMING_STEPS):
            head = cls._of(kept, conditions * len(kept) / len(embeddings))
            distances = [head.distance(embedding) for embedding in embeddings]
            kept = embeddings[np.argsort(distances)[: max(2, round(_KEPT * len(embeddings)))]]
        return cls._of(kept, conditions * _KEPT)

    @classmethod
    def _of(cls, embeddings: NDArray[np.float32], conditions: float) -> SiteHead:
        dimensions = embeddings.shape[1]
        mean = embeddings.mean(axis=0, dtype=np.float64)
        deviations = embeddings - mean
        scatter = deviations.T @ deviations / len(embeddings)
        covariance = (dimensions * np.eye(dimensions) + conditions * scatter) / (dimensions + conditions)
        return cls(mean, np.linalg.inv(np.linalg.cholesky(covariance)))

    def distance(self, embedding: NDArray[np.float32]) -> float:
        """Squared Mahalanobis distance of an embedding, shape (whitened,), per dimension."""
        return float(np.mean(np.square(self.whitening @ (embedding - self.mean))))


@dataclass(frozen=True)
class Parts:
    """What a window's score is made of, each in deviations from what is normal at the site as its condition changes.

    Attributes
    ----------
    error, distance
        Log of the autoencoder's reconstruction error, and of the distance from the site head's mean: how new it is.
    likeness
        How far it lies towards leaks as the extractor knows them.
    """

    error: float
    distance: float
    likeness: float

    @property
    def fused(self) -> float:
        """Mean of novelty and likeness.

        What is new need not be a leak, and what is like a leak may be normal at this site; the mean rises most where
        both agree. Novelty is the mean of error and distance.
        """
        return 0.5 * (0.5 * (self.error + self.distance) + self.likeness)


@dataclass(frozen=True, eq=False)
class SiteCalibration:
    """What a sensor learned of its site.

    Attributes
    ----------
    bundle_sha256
        :attr:`hydroear.model.Bundle.sha256` of the bundle it was learned with; it fits no other.
    runtime
        The interpreter it was learned with; others round int8 differently.
    band_mean
        float32, shape (n_mels,): median over the site's normal windows of the mean of each band, in dB.
    head
        The site head.
    error, distance, likeness
        Distributions of the log of the reconstruction error, of the log of the head's distance, and of the likeness to
        a leak.
    fused
        Distribution of :attr:`Parts.fused`.
    trace
        The fused scores of the windows learned from, in order.
    floor
        The noise floor; None where too little was heard to learn one.
    unison
        What three of four windows stay below, see :class:`hydroear.dsp.Fluctuation`.
    windows
        Number of windows learned from.
    level_db, level_deviation_db, quietest_db
        Mean and standard deviation of the levels of those windows, and the level that one in a hundred stays below.
    accepted
        What spoke against learning here and was overridden; empty if nothing did.
    where
        What errors call it: the file it was read from.
    """

    bundle_sha256: str
    runtime: str
    band_mean: NDArray[np.float32]
    head: SiteHead
    error: Distribution
    distance: Distribution
    likeness: Distribution
    fused: Distribution
    trace: Trace
    floor: SiteFloor | None
    unison: float
    windows: int
    level_db: float
    level_deviation_db: float
    quietest_db: float
    accepted: tuple[str, ...] = ()
    where: str = "calibration"

    def parts(self, score: Score) -> Parts:
        """A window's score against this site."""
        return _standardised(_measured(score, self.head), self.error, self.distance, self.likeness)

    def save(self, path: Path) -> None:
        """Write it as JSON, whole or not at all.

        Raises
        ------
        CalibrationError
            If the file cannot be written.
        """
        document = {
            "schema": SCHEMA,
            "bundle_sha256": self.bundle_sha256,
            "runtime": self.runtime,
            "band_mean": self.band_mean.tolist(),
            "head": {"mean": self.head.mean.tolist(), "whitening": self.head.whitening.tolist()},
            "error": asdict(self.error),
            "distance": asdict(self.distance),
            "likeness": asdict(self.likeness),
            "fused": asdict(self.fused),
            "trace": {"fused": [round(float(fused), 4) for fused in self.trace.fused], "step_s": self.trace.step_s},
            "floor": None if self.floor is None else _floor_document(self.floor),
            "unison": self.unison,
            "windows": self.windows,
            "level_db": self.level_db,
            "quietest_db": self.quietest_db,
            "level_deviation_db": self.level_deviation_db,
            "accepted": self.accepted,
        }
        with site_file(path, fix="choose another place") as out:
            out.write(json.dumps(document).encode())

    @classmethod
    def load(cls, path: Path) -> SiteCalibration:
        """Read :meth:`save`'s file.

        Raises
        ------
        CalibrationError
            If the file is missing, damaged or something else.
        """
        try:
            document: Any = json.loads(path.read_bytes())
            if document["schema"] != SCHEMA:
                raise ValueError(f"schema {document['schema']!r}")
            head = SiteHead(_finite(document["head"]["mean"]), _finite(document["head"]["whitening"]))
            dimensions = len(head.mean)
            if head.whitening.shape != (dimensions, dimensions):
                raise ValueError("head: shapes differ")
            return cls(
                bundle_sha256=str(document["bundle_sha256"]),
                runtime=str(document["runtime"]),
                band_mean=_finite(document["band_mean"]).astype(np.float32),
                head=head,
                error=_distribution(document["error"]),
                distance=_distribution(document["distance"]),
                likeness=_distribution(document["likeness"]),
                fused=_distribution(document["fused"]),
                trace=_trace(document["trace"]),
                floor=None if document["floor"] is None else _floor(document["floor"]),
                unison=_positive(document["unison"]),
                windows=int(document["windows"]),
                level_db=float(_finite(document["level_db"])),
                quietest_db=float(_finite(document["quietest_db"])),
                level_deviation_db=float(_finite(document["level_deviation_db"])),
                accepted=tuple(str(objection) for objection in document["accepted"]),
                where=str(path),
            )
        except OSError as error:
            raise CalibrationError(
                f"cannot be read ({error.strerror})", where=path, expected="a calibration", fix="run hydroear calibrate"
            ) from error
        except (ValueError, KeyError, TypeError) as error:
            raise CalibrationError(
                f"no calibration, or a damaged one ({error})", where=path, fix="run hydroear calibrate again"
            ) from error


def _finite(values: Any) -> NDArray[np.float64]:
    array = np.asarray(values, dtype=np.float64)
    if not np.isfinite(array).all():
        raise ValueError("a number in it is not finite")
    return array


def _positive(value: Any) -> float:
    number = float(_finite(value))
    if number <= 0.0:
        raise ValueError(f"{number} in it is not above 0")
    return number


def _trace(values: dict[str, Any]) -> Trace:
    trace = Trace(_finite(values["fused"]).astype(np.float32), float(_finite(values["step_s"])))
    if trace.step_s <= 0.0 or trace.fused.ndim != 1:
        raise ValueError("a trace in it is none")
    return trace


def _floor_document(floor: SiteFloor) -> dict[str, Any]:
    return {
        "mean_db": floor.mean_db.tolist(),
        "precision": floor.precision.tolist(),
        "rises": asdict(floor.rises),
    }


def _floor(values: dict[str, Any]) -> SiteFloor:
    floor = SiteFloor(_finite(values["mean_db"]), _finite(values["precision"]), _distribution(values["rises"]))
    size = len(floor.mean_db)
    if floor.precision.shape != (size, size) or (np.diag(floor.precision) <= 0.0).any():
        raise ValueError("a floor in it is none")
    return floor


def _distribution(values: dict[str, Any]) -> Distribution:
    distribution = Distribution(**{name: float(_finite(value)) for name, value in values.items()})
    if min(distribution.deviation, distribution.conditions, distribution.freedom) <= 0.0:
        raise ValueError("a distribution in it has no width")
    return distribution


@dataclass(frozen=True)
class SiteScore:
    """How abnormal a window is on this pipe.

    Attributes
    ----------
    decades
        Site score: minus log10 of the probability that a normal window scores this high, 0 to 12.
    error
        Reconstruction error.
    value
        What :attr:`decades` is the rarity of: :attr:`Parts.fused`, or the log of the error where the site is not
        calibrated.
    """

    decades: float
    error: float
    value: float


class SiteScorer:
    """Scores windows against a site, or against the trainer's normals where the site is not calibrated.

    Parameters
    ----------
    scorer
        The bundle at work.
    site
        The calibration of this sensor.
    adaptation
        How far the site has moved from that calibration; not at all where left out.

    Raises
    ------
    CalibrationError
        If the calibration was learned with another bundle or interpreter, or is damaged.
    """

    def __init__(self, scorer: Scorer, site: SiteCalibration | None, *, adaptation: Adaptation | None = None) -> None:
        if site is not None and site.bundle_sha256 != scorer.bundle.sha256:
            raise CalibrationError(
                f"learned with bundle {site.bundle_sha256[:12]}",
                where=site.where,
                expected=f"bundle {scorer.bundle.sha256[:12]}",
                fix="run hydroear calibrate again with this bundle",
            )
        if site is not None and site.runtime != scorer.runtime:
            raise CalibrationError(
                f"learned with {site.runtime}",
                where=site.where,
                expected=f"{scorer.runtime}, which scores now",
                fix=f"run hydroear calibrate again, or set the runtime to {site.runtime}",
            )
        self._scorer, self._site, self._adaptation = scorer, site, adaptation
        bundle = scorer.bundle
        shape = len(bundle.band_mean), bundle.projection.shape[1]
        if site is not None and (len(site.band_mean), len(site.head.mean)) != shape:
            raise CalibrationError(
                f"damaged: {len(site.band_mean)} bands and {len(site.head.mean)} dimensions",
                where=site.where,
                expected=f"{shape[0]} and {shape[1]}",
                fix="run hydroear calibrate again",
            )
        if len(bundle.normal_errors) < 2:
            raise BundleError("holds no normal scores", where=bundle.name, fix="export the bundle again")
        self._bundle_errors = Distribution.of(
            np.log(bundle.normal_errors + 1e-12),
            conditions=len(bundle.normal_errors) * bundle.front_end.window_hop_s / CONDITION_S,
            expected_deviation=expected_deviations(bundle)[0].error,
        )

    @property
    def quietest_db(self) -> float | None:
        """Level of the quietest windows when the site was learned; None where it is not calibrated."""
        return None if self._site is None else self._site.quietest_db

    def rarity(self, horizon_s: float, percentile: float) -> Callable[[float], float]:
        """How rare a percentile of the scores of a stretch is: from :attr:`SiteScore.value` to decades, 0 to 12.

        Parameters
        ----------
        horizon_s
            Length of the stretch.
        percentile
            Which percentile, 0 to 100.
        """
        site = self._site
        if site is None:
            return self._bundle_errors.decades
        normal, adaptation = site.trace.stretches(horizon_s, percentile, windows=site.fused), self._adaptation
        if adaptation is None:
            return normal.decades
        return lambda value: normal.decades(value - adaptation.shift * site.fused.deviation)

    @property
    def normal_db(self) -> NDArray[np.float32]:
        """Normal mean of each band of the features, shape (n_mels,): the site's, or the bundle's."""
        return self._scorer.bundle.band_mean if self._site is None else self._site.band_mean

    @property
    def normal_unison(self) -> float:
        """What the unison of windows mostly stays below here; that of steady noise where the site is not known."""
        return 1.0 if self._site is None else self._site.unison

    @property
    def knows_floor(self) -> bool:
        """Whether the noise floor of the site was learned."""
        return self._site is not None and self._site.floor is not None

    def floor_rarity(self, floor_db: NDArray[np.float32]) -> float:
        """How rare a noise floor, shape (n_mels,), is on this site when it is well, in decades, 0 to 12."""
        assert self._site is not None
        assert self._site.floor is not None
        shift_db = 0.0 if self._adaptation is None else self._adaptation.floor_shift_db
        return self._site.floor.decades(floor_db - shift_db)

    def score(self, window: Window) -> SiteScore:
        """Score one window."""
        site = self._site
        if site is None:
            score = self._scorer.score(window.features)
            value = _log(score.error)
            return SiteScore(self._bundle_errors.decades(value), score.error, value)
        score = self._scorer.score(window.features, site.band_mean)
        fused = site.parts(score).fused
        normal = site.fused if self._adaptation is None else self._adaptation.fused
        return SiteScore(normal.decades(fused), score.error, fused)


def expected_deviations(bundle: Bundle) -> tuple[Parts, float]:
    """What scores should scatter by as the operating condition of a site changes, from the trainer's varied windows.

    Returns
    -------
    parts
        Standard deviations of the logarithm of the error, of that of the distance, and of the likeness.
    fused
        Standard deviation of :attr:`Parts.fused`, the parts being in those.

    Raises
    ------
    BundleError
        If the bundle holds no scores of varied windows.
    """
    scores = bundle.varied_scores.astype(np.float64)
    deviations = scores.std(axis=0)
    if len(scores) < 2 or not deviations.all():
        raise BundleError("holds no varied scores", where=bundle.name, fix="export the bundle again")
    standardised = (scores - scores.mean(axis=0)) / deviations
    return Parts(*deviations.tolist()), float(np.std([Parts(*row).fused for row in standardised.tolist()]))


def calibrate(
    segments: Sequence[Sequence[Window]], scorer: Scorer, *, progress: Callable[[float], None] | None = None
) -> SiteCalibration:
    """Learn a site from normal audio.

    The distributions are of the very windows that were learned from. Their scores are a little lower than those of what
    comes next; but leaving out one of few operating conditions moves what is learned by more than that, in either
    direction, and how much scores scatter between conditions is expected rather than learned as long as there are few.

    Parameters
    ----------
    segments
        Windows of each stretch of audio, in order, however much they overlap. Where some are left out, the time that
        only they covered does not count.
    scorer
        The bundle at work.
    progress
        Is told the share that is done, 0 to 1, after every window.

    Raises
    ------
    CalibrationError
        If there is too little audio, or digital silence in it.
    """
    windows = [window for segment in segments for window in segment]
    durations_s = [_covered_s(segment) for segment in segments if segment]
    conditions = sum(max(1.0, duration_s / CONDITION_S) for duration_s in durations_s)
    floors_db = [_floors_of(segment, hop_s=scorer.bundle.front_end.window_hop_s) for segment in segments if segment]
    return learn(
        windows,
        scorer,
        heard_s=sum(durations_s),
        conditions=conditions,
        floors_db=np.concatenate(floors_db) if floors_db else np.zeros((0, 0), np.float32),
        progress=progress,
    )


def _covered_s(segment: Sequence[Window]) -> float:
    """Time that windows cover, each moment counted once."""
    ends_s = [segment[0].start_s, *(window.end_s for window in segment)]
    return sum(window.end_s - max(window.start_s, end_s) for window, end_s in zip(segment, ends_s, strict=False))


def _floors_of(segment: Sequence[Window], *, hop_s: float) -> NDArray[np.float32]:
    """Floors of the stretches of a segment, shape (stretches, n_mels)."""
    meter = StretchMeter(hop_s)
    floors_db = [floor_db for window in segment if (floor_db := meter.hear(window)) is not None]
    return np.array(floors_db, np.float32).reshape(len(floors_db), segment[0].features.shape[1])


def learn(
    windows: Sequence[Window],
    scorer: Scorer,
    *,
    heard_s: float,
    conditions: float,
    floors_db: NDArray[np.float32],
    progress: Callable[[float], None] | None = None,
) -> SiteCalibration:
    """Learn a site from windows that stand for a longer stretch of normal audio.

    Parameters
    ----------
    windows
        All windows of the audio, or an even sample of them, in order.
    scorer
        The bundle at work.
    heard_s
        Length of the audio that they stand for.
    conditions
        How many operating conditions it holds, at least 1.
    floors_db
        Floors of the stretches of that audio, shape (stretches, n_mels), in order.
    progress
        Is told the share that is done, 0 to 1, after every window.

    Raises
    ------
    CalibrationError
        If there is too little audio, or digital silence in it.
    """
    spec = scorer.bundle.front_end
    if heard_s < MIN_INDEPENDENT_WINDOWS * spec.window_s:
        raise CalibrationError(
            f"{len(windows)} windows of audio are too few",
            where="calibration",
            expected=f"at least {MIN_INDEPENDENT_WINDOWS * spec.window_s:.0f} s of normal audio",
            fix="record for longer",
        )
    levels_db = [window.level_db for window in windows if window.level_db is not None]
    if len(levels_db) < len(windows):
        raise CalibrationError(
            "digital silence in the audio", where="calibration", fix="check the sensor and its cable, then record again"
        )
    band_mean = np.median([window.band_db for window in windows], axis=0).astype(np.float32)
    scores = []
    for number, window in enumerate(windows, start=1):
        scores.append(scorer.score(window.features, band_mean))
        if progress is not None:
            progress(number / len(windows))
    head = SiteHead.fit(np.stack([score.embedding for score in scores]), conditions=conditions)
    expected, expected_fused = expected_deviations(scorer.bundle)
    measured = [_measured(score, head) for score in scores]
    error, distance, likeness = (
        Distribution.of(values, conditions=conditions, expected_deviation=deviation)
        for values, deviation in zip(zip(*map(astuple, measured), strict=True), astuple(expected), strict=True)
    )
    fused = [_standardised(parts, error, distance, likeness).fused for parts in measured]
    return SiteCalibration(
        bundle_sha256=scorer.bundle.sha256,
        runtime=str(scorer.runtime),
        band_mean=band_mean,
        head=head,
        error=error,
        distance=distance,
        likeness=likeness,
        fused=Distribution.of(fused, conditions=conditions, expected_deviation=expected_fused),
        trace=Trace(np.round(fused, 4).astype(np.float32), heard_s / len(windows)),
        floor=SiteFloor.learn(floors_db),
        unison=_unison_of(windows, Flutter(spec, band_mean)),
        windows=len(windows),
        level_db=float(np.mean(levels_db)),
        quietest_db=float(np.percentile(levels_db, _QUIETEST_PERCENTILE)),
        level_deviation_db=float(np.std(levels_db)),
    )


def _unison_of(windows: Sequence[Window], flutter: Flutter) -> float:
    found = [value.unison for window in windows if (value := flutter(window)) is not None]
    return float(np.percentile(found, _UNISON_PERCENTILE)) if found else 1.0


def _measured(score: Score, head: SiteHead) -> Parts:
    """The parts of a score before they are held against a site's distributions."""
    return Parts(_log(score.error), _log(head.distance(score.embedding)), score.likeness)


def _standardised(measured: Parts, error: Distribution, distance: Distribution, likeness: Distribution) -> Parts:
    return Parts(
        error=error.standardised(measured.error),
        distance=distance.standardised(measured.distance),
        likeness=likeness.standardised(measured.likeness),
    )


def _log(value: float) -> float:
    return float(np.log(value + 1e-12))
