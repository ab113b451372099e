"""The manual of the field engineer knows every stage of the self-test."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import yaml
from scipy.io import wavfile

from hydroear.config.loader import load_config
from hydroear.model import SHIPPED_BUNDLE
from hydroear.selftest.examine import examine

MANUAL = Path(__file__).parents[2] / "systemd" / "README.md"


def test_the_table_of_troubles_has_the_stages_of_the_self_test(tmp_path: Path) -> None:
    wavfile.write(tmp_path / "pipe.wav", 16_000, np.zeros((16_000, 2), np.int16))
    (tmp_path / "unit.yaml").write_text(
        yaml.safe_dump(
            {
                "unit": "unit-1",
                "bundle": str(SHIPPED_BUNDLE),
                "state_dir": "state",
                "sensors": [
                    {"id": "pipe", "source": {"type": "wav", "files": ["pipe.wav"], "reference_channel": 2}},
                ],
                "mqtt": {"url": "mqtts://127.0.0.1:1"},
            }
        )
    )
    config = load_config(tmp_path / "unit.yaml")
    # --tap alone has the one that asks for a knock.
    stages = {finding.stage.removesuffix(" pipe") for finding in examine(config, config.sensors)} | {"tap"}
    told = re.findall(r"^\| `([^`]+)` \|", MANUAL.read_text(), re.MULTILINE)
    assert sorted(told) == sorted(stages)
