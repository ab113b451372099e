"""Every command in the README does what it says.

The commands run as they stand, in a copy of the repository's files, with the substitutions that are made in
:func:`adapted`: the machine's root folder is a temporary one, the package is resolved but not installed again, and what
is trained is small. ``make test`` is what runs this, and what ``make demo`` runs is run by test_demo.py.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from hydroear.model import SHIPPED_BUNDLE
from hydroear_train.simulate import DEMO_SITE, quiet_scene
from hydroear_train.simulate.corpus import wav_bytes

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
COMMANDS = [
    line
    for block in re.findall(r"^```sh\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    for line in block.splitlines()
    if line.strip()
]
QUICK_RECIPE = {
    "front_end": {"n_mels": 32, "high_hz": 4000.0, "window_frames": 32, "window_hop_frames": 16},
    "extractor": {
        "frames_averaged": 2,
        "layers": ["block_1_expand_relu"],
        "steps": 40,
        "pairs": 8,
        "validation_pairs": 256,
    },
    "leaks": {"snr_db": [30, 40]},
    "autoencoder": {"components": 6, "hidden": 16, "bottleneck": 2, "epochs": 10, "windows": 256},
}
BIN = Path(sys.executable).parent
SYSTEMD = ROOT / "systemd"


def adapted(command: str, machine: Path) -> str:
    """The command with the temporary machine's folders in the place of the real ones, and without a download."""
    command = command.replace("sudo ", "")
    if " -m venv " in command:
        return f"mkdir -p {machine}/opt && ln -sfn {BIN.parent} {machine}/opt/hydroear"
    if "pip install" in command:
        command = re.sub(r"\S*pip install", f"{BIN}/pip install --dry-run --quiet", command)
    if command.startswith("apt install ./hydroear"):  # what the package's own tests do for real
        config, unit = "etc/hydroear/config.yaml", "etc/systemd/system/hydroear.service"
        copies = f"install -D {SYSTEMD}/config.example.yaml {config} && install -D {SYSTEMD}/hydroear.service {unit}"
        return f"cd {machine} && {copies} && systemctl --root={machine} enable hydroear"
    if command.startswith("systemctl start"):
        return command.replace("systemctl start", f"systemctl --root={machine} is-enabled")
    return re.sub(r"(?<=\s)/(etc|opt)/|^/(etc|opt)/", lambda m: f"{machine}/{m[1] or m[2]}/", command)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    copy = tmp_path_factory.mktemp("readme") / "hydroear"
    ignore = shutil.ignore_patterns(".*", "build", "dist", "demo-out", "__pycache__")
    shutil.copytree(ROOT, copy, ignore=ignore)
    (copy / "recipe.yaml").write_text(yaml.safe_dump(QUICK_RECIPE))
    for name, seed in (("normal", 1), ("suspect", 2)):
        scene = quiet_scene(DEMO_SITE, 30.0, seed=seed)
        (copy / f"{name}.wav").write_bytes(wav_bytes(scene.samples, 16000, "simulated"))
    return copy


def test_the_commands_of_the_readme_run(folder: Path, tmp_path: Path) -> None:
    environment = os.environ | {"PATH": f"{BIN}:{os.environ['PATH']}", "TF_CPP_MIN_LOG_LEVEL": "3"}
    ran = []
    for command in COMMANDS:
        if command.startswith("make ") or command.startswith(". .venv"):
            continue
        if "selftest" in command:
            prepare_unit(tmp_path, folder / "normal.wav")
        done = subprocess.run(
            adapted(command, tmp_path),
            shell=True,
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        ran.append(command)
    assert len(ran) >= 11
    assert (folder / "runs/first/first.hydroear").exists()
    assert (folder / "suspect.jsonl").read_text().count('"kind": "window"') > 10
    assert (tmp_path / "etc/systemd/system/multi-user.target.wants/hydroear.service").is_symlink()


def prepare_unit(machine: Path, recording: Path) -> None:
    """What the README asks the reader to do by hand: put a bundle there and edit the configuration."""
    shutil.copyfile(SHIPPED_BUNDLE, machine / "etc/hydroear/model.hydroear")
    config = yaml.safe_load((machine / "etc/hydroear/config.yaml").read_text())
    config["bundle"] = str(machine / "etc/hydroear/model.hydroear")
    config["state_dir"] = str(machine / "state")
    config["sensors"] = [{"id": "hydrant-1", "source": {"type": "wav", "files": [str(recording)]}}]
    config.pop("mqtt", None)
    (machine / "etc/hydroear/config.yaml").write_text(yaml.safe_dump(config))


def test_the_make_targets_of_the_readme_exist() -> None:
    targets = set(re.findall(r"`?make ([a-z-]+)", README))
    assert {"demo", "test", "lint", "bench", "demo-bundle"} <= targets
    for target in targets:
        done = subprocess.run(["make", "--dry-run", target], cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
