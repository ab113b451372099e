"""Every architecture becomes an int8 extractor, with frequency kept, and says what cannot be built."""

import numpy as np
import pytest

from hydroear.dsp import FrontEndSpec
from hydroear.errors import UsageError
from hydroear.model import choose_runtime, load_model
from hydroear_train.extractors import ARCHITECTURES, build_extractor
from hydroear_train.quantise import to_int8
from hydroear_train.recipe import Extractor

SPEC = FrontEndSpec()


def build(architecture: str, **changes: object):  # type: ignore[no-untyped-def]
    return build_extractor(SPEC, Extractor.model_validate({"architecture": architecture, **changes}))


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_int8_says_nearly_what_float_says(architecture: str) -> None:
    extractor = build(architecture)
    windows = np.random.default_rng(0).normal(0.0, 4.0, (8, *SPEC.shape, 1)).astype(np.float32)
    int8 = load_model(to_int8(extractor, windows), choose_runtime(), name="extractor.tflite")
    expected = extractor.predict(windows, verbose=0)
    found = np.stack([int8(window) for window in windows])
    assert np.corrcoef(found.ravel(), expected.ravel())[0, 1] > 0.99


def test_a_rise_at_one_frequency_is_not_one_at_another() -> None:
    extractor = build("mobilenet-v2", mix_bands=False)
    low, high = np.zeros((2, 1, *SPEC.shape, 1), np.float32)
    low[:, :, 4:12], high[:, :, 52:60] = 10.0, 10.0
    rest = extractor.predict(np.zeros_like(low), verbose=0)
    moved = [np.abs(extractor.predict(window, verbose=0) - rest).reshape(-1, 96).sum(axis=1) for window in (low, high)]
    assert np.argmax(moved[0]) < np.argmax(moved[1])


def test_the_deviation_over_time_doubles_the_embedding() -> None:
    assert build("mobilenet-v2", pooling="mean+deviation").output_shape[1] == 2 * build("mobilenet-v2").output_shape[1]


def test_several_layers_are_put_side_by_side() -> None:
    both, first, second = (
        build("mobilenet-v2", layers=layers).output_shape[1]
        for layers in (
            ["block_3_expand_relu", "block_6_expand_relu"],
            ["block_3_expand_relu"],
            ["block_6_expand_relu"],
        )
    )
    assert both == first + second


def test_a_layer_of_another_network_is_refused() -> None:
    with pytest.raises(UsageError, match=r"mobilenet-v2 at conv3_block4_out: cannot be built .*name other layers"):
        build("mobilenet-v2", layers=["conv3_block4_out"])
