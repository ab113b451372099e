"""A lesson that begins in the middle of a stream, as one by order does, hears what one from its beginning hears."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hydroear.app.lesson import Goal, Lesson
from hydroear.audio import Block
from hydroear.config.schema import Config
from hydroear.model import SHIPPED_BUNDLE, read_bundle
from listening import RATE_HZ, health


@pytest.mark.parametrize("first_s", [0, 86_400])
def test_what_is_clipped_is_left_out_whenever_the_lesson_begins(tmp_path: Path, first_s: int) -> None:
    config = Config.model_validate(
        {
            "unit": "u",
            "bundle": SHIPPED_BUNDLE,
            "state_dir": tmp_path,
            "sensors": [{"id": "pipe", "source": {"type": "wav", "files": ["pipe.wav"]}}],
        }
    )
    lesson = Lesson(config, config.sensors[0], Goal(heard_s=60.0), bundle=read_bundle(SHIPPED_BUNDLE))
    lesson.begin(RATE_HZ, "pipe")
    sound = health(20.0).copy()
    sound[: 10 * RATE_HZ] = np.clip(1e6 * sound[: 10 * RATE_HZ], -1.0, 1.0)
    for second in range(20):
        piece = sound[second * RATE_HZ : (second + 1) * RATE_HZ, np.newaxis]
        lesson.hear(Block(piece, (first_s + second) * RATE_HZ, 0.0))
    assert lesson.left_out == {"clipped": 11}, "those that begin in the first ten seconds"
