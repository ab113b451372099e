"""Each pretext asks what it says, and none punishes an answer to a question that has none."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray

from hydroear.errors import UsageError
from hydroear_train.augment import Windows
from hydroear_train.corpus import Entry
from hydroear_train.leaks import GENERATORS
from hydroear_train.material import Material, Rows
from hydroear_train.pretext import (
    NO_GENERATOR,
    ConditionPretext,
    Examples,
    GeneratorPretext,
    LeakPretext,
    Pretexts,
    mixup,
    recording_conditions,
)
from hydroear_train.pretraining import draw_examples, pretrain
from hydroear_train.recipe import Pretext, Recipe
from hydroear_train.simulate import write_corpus
from hydroear_train.strategy import single_worker

NAMES = tuple(GENERATORS)
EXAMPLES = Examples(
    windows=np.zeros((4, 2, 3, 1), np.float32),
    leak=np.array([False, True, True, True]),
    generators=np.array([NO_GENERATOR, NAMES.index("colour"), NAMES.index("jet"), NO_GENERATOR]),
    recordings=["a1", "a2", "b1", "elsewhere"],
)
CONDITIONS = {"a1": "a", "a2": "a", "b1": "b", "c1": "c"}
TINY = {
    "front_end": {"n_mels": 32, "high_hz": 4000.0, "window_frames": 32, "window_hop_frames": 16},
    "extractor": {
        "steps": 40, "pairs": 16, "validation_pairs": 64, "frames_averaged": 4, "layers": ["block_1_expand_relu"],
    },
    "leaks": {"snr_db": [10.0, 20.0]},
}  # fmt: skip


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Rows:
    """Six recordings of three sites, and a leak at each."""
    folder = tmp_path_factory.mktemp("corpus") / "corpus"
    write_corpus(folder, sites=3, recordings_per_site=3, duration_s=8.0, leak_fraction=0.34, seed=4)
    names = sorted(path.name for path in folder.glob("*.wav"))
    entries = [
        Entry(
            folder / name, {"file": name, "site": name.split("_")[2], "label": name.split("_")[-1].removesuffix(".wav")}
        )
        for name in names
    ]
    return Rows.choose(entries, group_column="site", supervised=True)


def test_labels_are_what_each_pretext_asks_for() -> None:
    np.testing.assert_array_equal(LeakPretext().labels(EXAMPLES), [[0], [1], [1], [1]])
    np.testing.assert_array_equal(
        GeneratorPretext(["jet", "colour"]).labels(EXAMPLES), [[1, 0, 0], [0, 0, 1], [0, 1, 0], [0, 0, 0]]
    )
    np.testing.assert_array_equal(
        ConditionPretext(CONDITIONS, margin="arcface").labels(EXAMPLES), [[1, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 0]]
    )


@pytest.mark.parametrize(
    "pretext", [GeneratorPretext(["jet", "colour"]), ConditionPretext(CONDITIONS, margin="arcface")]
)
def test_an_example_without_an_answer_teaches_nothing(pretext: Any) -> None:
    outputs = tf.Variable([[0.1, 0.5, -0.3]])
    with tf.GradientTape() as tape:
        loss = pretext.loss(tf.zeros((1, 3)), outputs)
    assert float(loss[0]) == 0.0
    np.testing.assert_array_equal(tape.gradient(loss, outputs), np.zeros((1, 3)))


def test_arcface_widens_the_angle_to_the_right_condition() -> None:
    angles = np.array([[0.3, 1.2, 2.0], [1.0, 0.4, 1.5]])
    labels = np.array([[1, 0, 0], [1, 0, 0]], np.float32)
    logits = 64.0 * np.cos(angles + 0.5 * labels)
    expected = np.log(np.sum(np.exp(logits - logits[:, :1]), axis=1))
    loss = ConditionPretext(CONDITIONS, margin="arcface").loss(labels, np.cos(angles).astype(np.float32))
    np.testing.assert_allclose(loss, expected, rtol=1e-4, atol=1e-5)


def test_adacos_scales_by_the_number_of_conditions() -> None:
    five = {str(number): str(number) for number in range(5)}
    cosines, labels = np.array([[0.9, 0.1, 0.0, -0.2, 0.3]], np.float32), np.eye(5, dtype=np.float32)[:1]
    logits = np.sqrt(2.0) * np.log(4.0) * cosines
    expected = np.log(np.sum(np.exp(logits - logits[:, :1]), axis=1))
    np.testing.assert_allclose(ConditionPretext(five, margin="adacos").loss(labels, cosines), expected, rtol=1e-5)


def test_a_perfect_cosine_has_a_finite_gradient() -> None:
    cosines = tf.Variable([[1.0, -1.0, 0.0]])
    with tf.GradientTape() as tape:
        loss = ConditionPretext(CONDITIONS, margin="arcface").loss(tf.constant([[0.0, 1.0, 0.0]]), cosines)
    assert np.all(np.isfinite(tape.gradient(loss, cosines)))


def test_combined_pretexts_are_the_weighted_sum_of_each_on_its_slice() -> None:
    settings = Pretext(leak=2.0, condition=0.1, generator=0.5, margin="adacos")
    pretexts = Pretexts.of(settings, ["jet", "colour"], CONDITIONS)
    parts: list[tuple[Any, float]] = [
        (LeakPretext(), 2.0),
        (ConditionPretext(CONDITIONS, margin="adacos"), 0.1),
        (GeneratorPretext(["jet", "colour"]), 0.5),
    ]
    outputs = np.random.default_rng(0).uniform(-0.9, 0.9, (4, pretexts.width)).astype(np.float32)
    slices = np.split(outputs, np.cumsum([part.width for part, _ in parts])[:-1], axis=1)
    expected = sum(
        weight * np.array(part.loss(part.labels(EXAMPLES), own))
        for (part, weight), own in zip(parts, slices, strict=True)
    )
    loss = pretexts.loss(pretexts.labels(EXAMPLES), outputs)
    assert loss.shape == (4,)
    np.testing.assert_allclose(loss, expected, rtol=1e-5)


def test_mixup_mixes_labels_as_it_mixes_windows() -> None:
    rng = np.random.default_rng(0)
    labels = np.eye(6, dtype=np.float32)
    windows = np.tile(labels[:, None, :, None], (1, 3, 1, 1))
    mixed, shares = mixup(windows, labels, 0.4, rng)
    np.testing.assert_array_equal(mixed[:, 0, :, 0], shares)
    np.testing.assert_allclose(shares.sum(axis=1), 1.0, rtol=1e-6)
    assert np.any((shares > 0.01) & (shares < 0.99))
    same, unmixed = mixup(windows, labels, 0.0, rng)
    np.testing.assert_array_equal(same, windows)
    np.testing.assert_array_equal(unmixed, labels)


def test_a_condition_is_what_the_columns_that_are_there_say() -> None:
    entries = [Entry(Path("1.wav"), {"file": "1.wav", "rig": "x", "site": "s", "operating_point": "40"})]
    assert recording_conditions(entries, (), group_column="site") == {"1.wav": "s, 40"}
    assert recording_conditions(entries, ("rig",), group_column="site") == {"1.wav": "x"}
    with pytest.raises(UsageError, match="condition_columns: no column colour; expected some of: file, rig"):
        recording_conditions(entries, ("rig", "colour"), group_column="site")


def test_too_few_conditions_are_refused() -> None:
    with pytest.raises(UsageError, match=r"arcface: 1 recording condition \(a\); expected 2 or more"):
        ConditionPretext({"1": "a", "2": "a"}, margin="arcface")
    with pytest.raises(UsageError, match=r"adacos: 2 recording conditions \(a, b\); expected 3 or more"):
        ConditionPretext({"1": "a", "2": "b"}, margin="adacos")


def test_supervision_without_leaks_is_refused(rows: Rows) -> None:
    with pytest.raises(UsageError, match="one class is missing: no row is labelled leak"):
        Rows.choose(rows.normal, group_column="site", supervised=True)
    with pytest.raises(UsageError, match="no row is labelled normal"):
        Rows.choose(rows.leaks, group_column="site", supervised=True)
    strange = Rows(rows.normal[:2], rows.leaks, "site")
    with pytest.raises(UsageError, match=r"a leak at site '.*', but no normal recording"):
        Material.load(strange, Recipe(**TINY), quiet=True)


def test_half_of_the_leaks_are_real_ones_where_there_are_some(rows: Rows) -> None:
    material = Material.load(rows, Recipe(**TINY), quiet=True)
    leaks = {str(entry.path) for entry in rows.leaks}
    drawn = material.sampler.draw(400)
    real = Windows(drawn.samples, drawn.groups, [min(leaks)] * 400)
    examples = draw_examples(material, [drawn, real], np.random.default_rng(0))
    is_real = np.array([recording in leaks for recording in examples.recordings])
    assert np.count_nonzero(~examples.leak) == 400
    assert np.all(examples.leak[is_real])
    assert np.all(examples.generators[is_real] == NO_GENERATOR)
    assert np.all(examples.generators[examples.leak & ~is_real] != NO_GENERATOR)
    assert 150 < np.count_nonzero(is_real) < 250


@pytest.mark.parametrize(
    "pretext",
    [{}, {"supervised": True}, {"leak": 0.0, "generator": 1.0}, {"condition": 0.02, "generator": 0.5, "mixup": 0.2}],
)
def test_every_pretext_teaches_to_tell_loud_leaks(rows: Rows, pretext: dict[str, Any]) -> None:
    keras.utils.set_random_seed(0)
    recipe = Recipe(**TINY, pretext=pretext)
    chosen = Rows.choose(rows.all, group_column="site", supervised=recipe.pretext.supervised)
    pretrained = pretrain(Material.load(chosen, recipe, quiet=True), recipe, single_worker(), quiet=True)
    assert pretrained.metrics["pretext_auc"] > 0.75
    assert pretrained.leak_axis.shape == pretrained.extractor.output.shape[1:]
    losses: NDArray[np.float64] = np.array(pretrained.losses)
    assert losses[-10:].mean() < losses[:10].mean()
