"""The export gate lets a faithful bundle out, and names what is wrong with another."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import spearmanr
from sklearn.metrics import roc_auc_score

from hydroear.errors import BundleError
from hydroear.model import SHIPPED_BUNDLE, available_runtimes, read_bundle
from hydroear_train.gate import Fidelity, RuntimeFidelity, Validation, check, compare, gate
from hydroear_train.golden import window_errors
from hydroear_train.quantise import stratified
from hydroear_train.simulate import Span, random_site, render
from hydroear_train.spectra import SpectrumBatch, window_grid

FAITHFUL = Fidelity(
    windows=1000,
    auc_float=0.9,
    pauc_float=0.8,
    runtimes={"litert": RuntimeFidelity(auc=0.9, pauc=0.8, spearman=1.0)},
    between_spearman=1.0,
    differing_decisions=0,
)


def with_int8(**figures: float) -> Fidelity:
    return replace(FAITHFUL, runtimes={"litert": replace(FAITHFUL.runtimes["litert"], **figures)})


def test_calibration_hears_loud_windows_though_they_are_one_in_a_hundred() -> None:
    rng = np.random.default_rng(0)
    levels_db = np.concatenate([rng.normal(-60.0, 1.0, 2000), rng.normal(-20.0, 1.0, 20)])
    picked = stratified(levels_db, 40, np.random.default_rng(1))
    assert len(set(picked)) == 40
    assert np.count_nonzero(levels_db[picked] > -40.0) >= 10
    np.testing.assert_array_equal(picked, stratified(levels_db, 40, np.random.default_rng(1)))


def test_calibration_takes_every_window_where_there_are_too_few_or_all_are_as_loud() -> None:
    rng = np.random.default_rng(0)
    np.testing.assert_array_equal(stratified(np.array([-30.0, -60.0, -31.0]), 8, rng), [0, 1, 2])
    assert len(set(stratified(np.full(100, -50.0), 8, rng))) == 8


def test_figures_are_those_of_the_field() -> None:
    rng = np.random.default_rng(2)
    leak = np.arange(400) % 2 == 1
    float_errors = rng.gamma(2.0, size=400) * np.where(leak, 3.0, 1.0)
    int8_errors = float_errors * np.exp(0.3 * rng.standard_normal(400))
    fidelity = compare(float_errors, {"litert": int8_errors, "tflite-runtime": 2.0 * float_errors}, leak)
    litert, other = fidelity.runtimes["litert"], fidelity.runtimes["tflite-runtime"]
    assert litert.auc == pytest.approx(roc_auc_score(leak, int8_errors))
    assert litert.pauc == pytest.approx(roc_auc_score(leak, int8_errors, max_fpr=0.1))
    assert litert.spearman == pytest.approx(spearmanr(int8_errors, float_errors).statistic)
    assert fidelity.between_spearman == pytest.approx(litert.spearman)
    assert (other.auc, other.pauc) == (fidelity.auc_float, fidelity.pauc_float)
    threshold = np.quantile(int8_errors[~leak], 0.95)
    assert fidelity.differing_decisions == np.sum((int8_errors > threshold) != (2.0 * float_errors > threshold)) > 0


def test_models_that_say_the_same_of_every_window_are_not_faithful() -> None:
    errors = np.linspace(0.1, 1.0, 40)
    fidelity = compare(errors, {"litert": np.ones(40)}, np.arange(40) >= 20)
    with pytest.raises(BundleError, match=r"Spearman of litert with float is 0\.0000"):
        check(fidelity, name="flat")


def test_errors_that_are_not_finite_are_refused() -> None:
    errors = np.linspace(0.1, 1.0, 40)
    with pytest.raises(BundleError, match="float models: 1 of 40 errors are not finite"):
        compare(np.where(errors < 1.0, errors, np.nan), {"litert": errors}, np.arange(40) >= 20)


@pytest.mark.parametrize(
    "fidelity",
    [FAITHFUL, with_int8(auc=0.8955), with_int8(pauc=0.8095), with_int8(spearman=0.995)],
)
def test_figures_within_their_limits_pass(fidelity: Fidelity) -> None:
    check(fidelity, name="pipes")


@pytest.mark.parametrize(
    ("fidelity", "figure"),
    [
        (with_int8(auc=0.894), r"AUC on litert is -0\.0060 from float \(limit 0\.005\)"),
        (with_int8(pauc=0.811), r"pAUC on litert is \+0\.0110 from float \(limit 0\.01\)"),
        (with_int8(spearman=0.9949), r"Spearman of litert with float is 0\.9949 \(limit 0\.995\)"),
        (with_int8(auc=float("nan")), r"AUC on litert is \+?nan from float"),
        (replace(FAITHFUL, between_spearman=0.99), r"Spearman between runtimes is 0\.9900 \(limit 0\.995\)"),
        (replace(FAITHFUL, differing_decisions=3), r"runtimes decide differently on 3 of 1000 windows \(limit 0\)"),
    ],
)
def test_a_figure_beyond_its_limit_fails_the_export_by_name(fidelity: Fidelity, figure: str) -> None:
    with pytest.raises(BundleError, match=f"^pipes: int8 is not faithful: {figure}"):
        check(fidelity, name="pipes")


def test_a_bundle_is_scored_on_every_runtime_and_stopped_once_it_is_not_what_was_trained() -> None:
    bundle = read_bundle(SHIPPED_BUNDLE)
    site = random_site(np.random.default_rng(5), material="cast-iron")
    spectra = SpectrumBatch(bundle.front_end)
    normal, leaking = (
        spectra.features(window_grid(render(site, spans, 40.0, seed=4).samples, bundle.front_end))
        for spans in ([], [Span("leak", 0.0, 40.0, 0.0)])
    )
    features = np.concatenate([normal, leaking])
    band_means = np.broadcast_to(np.median(normal.mean(axis=1), axis=0), (len(features), features.shape[2]))
    leak = np.arange(len(features)) >= len(normal)
    errors = next(iter(window_errors(bundle, features, band_means).values()))
    validation = Validation(features, band_means, leak, float_errors=errors)

    fidelity = gate(bundle, validation)
    assert list(fidelity.runtimes) == [str(runtime) for runtime in available_runtimes()]
    assert fidelity.to_dict()["runtimes"][str(available_runtimes()[0])]["spearman"] == pytest.approx(1.0)

    rng = np.random.default_rng(6)
    blurred = bundle.projection * (1.0 + 0.5 * rng.standard_normal(bundle.projection.shape)).astype(np.float32)
    with pytest.raises(BundleError, match="Spearman of litert with float"):
        gate(replace(bundle, projection=blurred), validation)
