"""Both interpreters run the shipped bundle, round alike and come to the same decisions."""

import sys

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from hydroear.app.pipeline import policy
from hydroear.config.schema import Decision
from hydroear.decide import Decider, State
from hydroear.dsp import FrontEnd, Window
from hydroear.model import SHIPPED_BUNDLE, Kernels, Runtime, available_runtimes, read_bundle
from hydroear.score import Scorer, SiteScorer, calibrate
from hydroear_train.gate import compare
from hydroear_train.simulate import DEMO_SITE, Span, quiet_scene, render

BUNDLE = read_bundle(SHIPPED_BUNDLE)
DECISION = Decision(horizon_s=20.0, recheck_s=10.0, clear_s=20.0, raise_decades=2.0)


def windows(samples: np.ndarray) -> list[Window]:
    return FrontEnd(BUNDLE.front_end, input_rate_hz=16000).push(samples)


def test_no_test_of_this_process_loads_tensorflow() -> None:
    # Its TFLite would take the place of tflite-runtime's, and these tests would judge another interpreter.
    assert "tensorflow" not in sys.modules


@pytest.mark.parametrize("runtime", available_runtimes())
def test_golden_windows_score_as_the_trainer_said(runtime: Runtime) -> None:
    assert Scorer(BUNDLE, runtime).check_golden() <= 0.05


@pytest.mark.parametrize("runtime", available_runtimes())
def test_the_reference_kernels_of_every_runtime_score_alike(runtime: Runtime) -> None:
    """They are what other processors than x86-64 run, and there is no other check of those here."""
    assert Scorer(BUNDLE, runtime, Kernels.REFERENCE).check_golden() < 1e-6


@pytest.mark.parametrize("runtime", available_runtimes())
def test_golden_leaks_score_above_the_same_windows_without(runtime: Runtime) -> None:
    errors = Scorer(BUNDLE, runtime).golden_errors()
    assert BUNDLE.golden.kinds == ("normal", "leak") * 2
    assert errors[1] > 2 * errors[0]
    assert errors[3] > 2 * errors[2]


@pytest.mark.parametrize("runtime", available_runtimes())
def test_every_runtime_calls_the_same_scene_a_leak(runtime: Runtime) -> None:
    scorer = Scorer(BUNDLE, runtime)
    normal = windows(quiet_scene(DEMO_SITE, 60.0, seed=11).samples)
    site = SiteScorer(scorer, calibrate([normal], scorer))
    scene = windows(render(DEMO_SITE, [Span("leak", 40.0, 100.0, 6.0)], 160.0, seed=12).samples)
    decades = np.array([site.score(window).decades for window in scene])
    decider = Decider(policy(DECISION, BUNDLE.front_end, normal_unison=1.0))
    states = [decider.hear(window.end_s, score) for window, score in zip(scene, decades, strict=True)]
    leak_s = [window.end_s for window, state in zip(scene, states, strict=True) if state is State.LEAK]
    assert 60.0 < leak_s[0] < 80.0
    assert 100.0 < leak_s[-1] < 130.0
    leaking = [40.0 < window.start_s < window.end_s < 100.0 for window in scene]
    assert roc_auc_score(leaking, decades) > 0.95


@pytest.mark.skipif(len(available_runtimes()) < 2, reason="one interpreter alone is installed")
def test_runtimes_rank_windows_alike_and_agree_on_each() -> None:
    scene = windows(render(DEMO_SITE, [Span("leak", 40.0, 80.0, 3.0)], 120.0, seed=13).samples)
    leaking = np.array([40.0 < window.start_s < window.end_s < 80.0 for window in scene])
    scorers = [Scorer(BUNDLE, runtime) for runtime in available_runtimes()]
    errors = {str(s.runtime): np.array([s.score(window.features).error for window in scene]) for s in scorers}
    fidelity = compare(errors["litert"], errors, leaking)
    assert fidelity.between_spearman >= 0.999
    assert fidelity.differing_decisions == 0
    assert np.median(np.abs(errors["litert"] / errors["tflite-runtime"] - 1.0)) < 1e-5


@pytest.mark.parametrize("runtime", available_runtimes())
def test_an_interpreter_writes_nothing_where_users_expect_errors(
    runtime: Runtime, capfd: pytest.CaptureFixture[str]
) -> None:
    Scorer(BUNDLE, runtime).check_golden()
    assert capfd.readouterr() == ("", "")
