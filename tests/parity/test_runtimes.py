"""Both interpreters run the shipped bundle and come to the same decisions."""

import numpy as np
import pytest
import scipy.stats

from hydroear.config.schema import Decision
from hydroear.dsp import FrontEnd, Window
from hydroear.model import SHIPPED_BUNDLE, Runtime, available_runtimes, read_bundle
from hydroear.score import Scorer, SiteScorer, calibrate
from hydroear_train.simulate import DEMO_SITE, Span, quiet_scene, render

BUNDLE = read_bundle(SHIPPED_BUNDLE)
LEVEL = Decision().raise_decades


def windows(samples: np.ndarray) -> list[Window]:
    return FrontEnd(BUNDLE.front_end, input_rate_hz=16000).push(samples)


@pytest.mark.parametrize("runtime", available_runtimes())
def test_golden_windows_score_as_the_trainer_said(runtime: Runtime) -> None:
    assert Scorer(BUNDLE, runtime).check_golden() <= 0.05


@pytest.mark.parametrize("runtime", available_runtimes())
def test_golden_leaks_score_above_golden_normals(runtime: Runtime) -> None:
    errors = dict(zip(BUNDLE.golden.kinds, Scorer(BUNDLE, runtime).golden_errors(), strict=True))
    assert errors["leak"] > errors["normal"]


def test_the_runtimes_agree_on_what_is_a_leak() -> None:
    if len(available_runtimes()) < 2:
        pytest.skip("one interpreter is installed; the other has no wheel for this Python")
    normal = windows(quiet_scene(DEMO_SITE, 60.0, seed=11).samples)
    leak = windows(render(DEMO_SITE, [Span("leak", 0.0, 30.0, 6.0)], 30.0, seed=12).samples)
    decades = {}
    for runtime in available_runtimes():
        scorer = Scorer(BUNDLE, runtime)
        site = SiteScorer(scorer, calibrate([normal], scorer))
        decades[runtime] = np.array([site.score(window).decades for window in leak])
        assert np.median(decades[runtime]) > LEVEL
    litert, tflite = decades[Runtime.LITERT], decades[Runtime.TFLITE_RUNTIME]
    assert scipy.stats.spearmanr(litert, tflite).statistic >= 0.95
