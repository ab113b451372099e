"""The packages of a Raspberry Pi, unpacked in a Debian for its processor and run by an emulator of that.

Times and memory are those of the emulator: they are printed to see that nothing is far off, and say little of a board.
"""

from __future__ import annotations

import json
import resource
import time
from collections.abc import Callable

import numpy as np
import pytest

from debian import NUMBERS, Debian, package, unpack
from hydroear.model import SHIPPED_BUNDLE
from listening import decision_options, health, scene, write

PROGRAM = ("/opt/hydroear/bin/python3", "/opt/hydroear/bin/hydroear")
RUNTIMES = {"bookworm": "tflite-runtime", "trixie": "litert"}
BUNDLE = ("--bundle", "/srv/model.hydroear")
REPLAY = ("replay", *BUNDLE, "--site", "/srv/site.json", "--json", *decision_options(), "/srv/pipe.wav")
USUAL_DECADES, LARGEST_DECADES = 0.02, 0.2
"""By how much scores may differ from those of x86-64, whose fast kernels round otherwise: usually, and ever."""


@pytest.fixture(params=NUMBERS, scope="module")
def release(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(scope="module")
def run_on(release: str, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., str]:
    """Run the program of the package on a processor."""
    roots = {}
    for arch in ("arm64", "amd64"):
        root = Debian(tmp_path_factory.mktemp(arch), release, arch)
        unpack(package(release, arch), root.path)
        root.write("srv/model.hydroear", SHIPPED_BUNDLE.read_bytes())
        write(root.path / "srv/pipe.wav", scene())
        write(root.path / "srv/health.wav", health(60.0, seed=1))
        root.write("srv/unit.yaml", UNIT)
        roots[arch] = root
    return lambda arch, *arguments: roots[arch].run(*PROGRAM, *arguments)


UNIT = """\
unit: unit-1
bundle: model.hydroear
state_dir: state
sensors:
  - id: pipe
    source: {type: wav, files: [pipe.wav]}
"""


def test_the_self_test_passes_its_golden_windows(
    release: str, run_on: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    began_s = time.monotonic()
    said = run_on("arm64", "selftest", "-c", "/srv/unit.yaml", "--json")
    took_s = time.monotonic() - began_s
    report = json.loads(said.splitlines()[-1])
    stages = {stage["stage"]: stage for stage in report["stages"]}
    runtime = stages["runtime"]
    assert (runtime["result"], runtime["values"]["runtime"]) == ("pass", RUNTIMES[release]), runtime
    # The reference kernels are the same arithmetic everywhere.
    assert runtime["values"]["golden_difference"] < 1e-3
    memory_mb = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    with capsys.disabled():
        print(f"\n{release} arm64: {runtime['measured']}; latency {stages['latency']['measured']};")
        print(f"self-test in {took_s:.0f} s, at most {memory_mb:.0f} MiB, emulated")


def test_it_hears_what_x86_hears(release: str, run_on: Callable[..., str], capsys: pytest.CaptureFixture[str]) -> None:
    scores, states = {}, {}
    for arch in ("arm64", "amd64"):
        run_on(arch, "calibrate", *BUNDLE, "--out", "/srv/site.json", "/srv/health.wav")
        lines = [json.loads(line) for line in run_on(arch, *REPLAY).splitlines() if line.startswith("{")]
        scores[arch] = np.array([line["score_decades"] for line in lines if line["kind"] == "window"], float)
        states[arch] = [line["state"] for line in lines if line["kind"] == "state"]
    off = np.abs(scores["arm64"] - scores["amd64"])
    with capsys.disabled():
        print(f"\n{release}: {len(off)} windows, off by {np.median(off):.3f} decades, at most by {off.max():.3f}")
    assert states["arm64"] == states["amd64"]
    assert np.median(off) <= USUAL_DECADES
    assert off.max() <= LARGEST_DECADES
