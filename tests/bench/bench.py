"""``make bench``: how fast the program is and what it takes, on this machine, against the targets.

Nothing here is a test: the figures belong to the machine they were taken on, named above the table.
"""

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
import time
import venv
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from statistics import median

import numpy as np
import program
from worker import Worker, interleaved

from hydroear.audio import open_recording
from hydroear.dsp import FrontEndSpec
from hydroear.model import SHIPPED_BUNDLE, Runtime, available_runtimes, read_bundle
from hydroear_bridge.frames import Audio, Frame
from hydroear_bridge.session import Session
from hydroear_bridge.simulator import simulate as simulate_device
from hydroear_train.broker import EmbeddedBroker
from hydroear_train.simulate import DEMO_SITE, Recording, quiet_scene
from hydroear_train.simulate.corpus import write_recordings

BUILD = Path(__file__).parents[2] / "build"
LIBROSA = "0.10.2.post1"

AUDIO_S = 10.0
REPLAY_S = 600.0
LISTEN_S = 20.0
DAY_HOURS = 24.0
BRIDGE_S = 60.0
BRIDGE_RATE_HZ = 48_000
BRIDGE_READ = 4096


@dataclass(frozen=True)
class Figure:
    """One line of the table.

    Attributes
    ----------
    what
        What was measured.
    value, unit
        What came out.
    ratio
        The value set against something, in words; empty where there is nothing to set it against.
    target
        What it should be, in words; empty where none is set.
    met
        Whether it is; None where no target is set.
    """

    what: str
    value: float
    unit: str
    ratio: str = ""
    target: str = ""
    met: bool | None = None


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure speed and memory.")
    parser.add_argument("--json", action="store_true", help="print JSON in place of the table")
    as_json = parser.parse_args().json
    machine = machine_facts()
    work = BUILD / "bench"
    shutil.rmtree(work, ignore_errors=True)
    try:
        figures = measure(work)
    except subprocess.CalledProcessError as error:
        print(f"bench: error: {error}", file=sys.stderr)
        return 1
    if as_json:
        print(json.dumps({"machine": machine, "figures": [asdict(figure) for figure in figures]}, indent=1))
    else:
        print_table(machine, figures)
    return 0


def machine_facts() -> dict[str, str]:
    """What the figures depend on."""
    names = [line.split(":", 1)[1].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")]
    memory_kib = int(_lines("/proc/meminfo")[0].split()[1])
    packages = [f"{package} {version(package)}" for package in ("numpy", "scipy")]
    runtimes = [f"{runtime} {runtime.version}" for runtime in available_runtimes()]
    return {
        "processor": f"{names[0] if names else platform.machine()}, {len(os.sched_getaffinity(0))} cores",
        "memory": f"{memory_kib * 1024 / 1e9:.1f} GB",
        "system": f"{platform.system()} {platform.release()}, Python {platform.python_version()}",
        "packages": ", ".join(packages + runtimes),
        "load": f"{os.getloadavg()[0]:.2f} before (the machine should be idle)",
    }


def measure(work: Path) -> list[Figure]:
    """Take every figure, in a folder that is to be made."""
    step("render simulated recordings")
    spec = read_bundle(SHIPPED_BUNDLE).front_end
    recordings = render(work, {"replay": REPLAY_S, "listen": LISTEN_S + 10.0, "window": spec.window_s})
    audio = work / "audio.npy"
    with open_recording(recordings["replay"]) as recording:
        np.save(audio, recording.read(round(AUDIO_S * spec.rate_hz))[:, 0])
    sites = {runtime: work / f"site-{runtime}.json" for runtime in available_runtimes()}
    for runtime, site in sites.items():
        program.calibrate(recordings["replay"], site, runtime)
    return [
        *log_mel_figures(work, audio, spec),
        *window_figures(audio, sites, spec),
        *bridge_figures(),
        *replay_figures(recordings["replay"], sites),
        *memory_figures(work, recordings["listen"], sites),
        *first_score_figures(recordings["window"], sites),
        *day_figures(work, recordings["replay"], sites),
    ]


def render(work: Path, lengths_s: dict[str, float]) -> dict[str, Path]:
    """Simulated recordings of a site in health, by name."""
    folder = work / "recordings"
    rows = write_recordings(
        folder,
        (
            Recording(f"simulated_{name}", DEMO_SITE, 1, quiet_scene(DEMO_SITE, length_s, seed=1))
            for name, length_s in lengths_s.items()
        ),
    )
    return dict(zip(lengths_s, (folder / row.file for row in rows), strict=True))


def log_mel_figures(work: Path, audio: Path, spec: FrontEndSpec) -> list[Figure]:
    """hydroear's log-mel and whole front end against librosa's log-mel."""
    librosa_python = librosa_environment()
    step("log-mel, against librosa")
    spec_json = work / "spec.json"
    spec_json.write_text(spec.to_json())
    ours, theirs = work / "hydroear.npy", work / "librosa.npy"
    with (
        Worker(Path(sys.executable), "log_mel_hydroear.py", spec_json, audio, ours) as hydroear,
        Worker(librosa_python, "log_mel_librosa.py", spec_json, audio, theirs) as librosa,
    ):
        seconds = interleaved(
            {
                "log-mel": (hydroear, "log-mel"),
                "front-end": (hydroear, "front-end"),
                "librosa": (librosa, "log-mel"),
                "one-bank": (librosa, "log-mel-one-bank"),
            },
            rounds=12,
            repetitions=10,
        )
    ms = {name: 1e3 * median(times) for name, times in seconds.items()}
    faster = ms["librosa"] / ms["log-mel"]
    difference_db = float(np.max(np.abs(np.load(ours) - np.load(theirs))))
    log_mel, librosa_name = f"log-mel of {AUDIO_S:g} s", f"librosa {LIBROSA}"
    return [
        Figure(
            f"{log_mel}, hydroear", ms["log-mel"], "ms", f"{faster:.1f} × faster than librosa", "≥ 3 ×", faster >= 3
        ),
        Figure(f"{log_mel}, {librosa_name}", ms["librosa"], "ms", f"differs by {difference_db:.4f} dB at most"),
        Figure(
            f"{log_mel}, librosa with its mel bank kept",
            ms["one-bank"],
            "ms",
            f"hydroear is {ms['one-bank'] / ms['log-mel']:.1f} × faster",
        ),
        Figure(
            f"whole front end on {AUDIO_S:g} s, in 0.1 s blocks",
            ms["front-end"],
            "ms",
            f"{ms['front-end'] / ms['librosa']:.1f} × the time of librosa's log-mel",
        ),
    ]


def librosa_environment() -> Path:
    """The interpreter of librosa's own environment, made where it is missing."""
    folder = BUILD / f"librosa-{LIBROSA}-venv"
    python, complete = folder / "bin" / "python", folder / "complete"
    if not complete.exists():
        step(f"install librosa {LIBROSA} in {folder}")
        venv.create(folder, clear=True, with_pip=True)
        packages = [f"librosa=={LIBROSA}", "numpy<2"]
        # Where this interpreter has no wheel of an old numba, no compiler is called for: it fails here and says so.
        subprocess.run(
            [python, "-m", "pip", "install", "--quiet", "--only-binary=:all:", *packages],
            check=True,
            stdout=sys.stderr,
        )
        complete.touch()
    return python


def window_figures(audio: Path, sites: dict[Runtime, Path], spec: FrontEndSpec) -> list[Figure]:
    """One window from samples to site score."""
    step("one window end to end")
    seconds = {}
    for runtime, site in sites.items():
        with Worker(Path(sys.executable), "window_latency.py", audio, site, runtime) as worker:
            seconds[runtime] = interleaved({"window": (worker, "window")}, rounds=4, repetitions=100)["window"]
    figures = []
    for runtime, times in seconds.items():
        for percentile in (50, 95):
            ms = 1e3 * float(np.percentile(times, percentile))
            share = f"{1e3 * spec.window_hop_s / ms:.0f} × real time"
            figures.append(Figure(f"one window to site score, {runtime}, p{percentile}", ms, "ms", share))
    return figures


def bridge_figures() -> list[Figure]:
    """Bytes of a sensor's microcontroller to samples."""
    step("decode the bridge protocol")
    wire = b"".join(sent.wire for sent in simulate_device(duration_s=BRIDGE_S, rate_hz=BRIDGE_RATE_HZ))
    shares = []
    for _ in range(5):
        session, began_s = Session(0.0), time.process_time()
        for at in range(0, len(wire), BRIDGE_READ):
            for happening in session.receive(wire[at : at + BRIDGE_READ], 0.0):
                if isinstance(happening, Frame) and isinstance(happening.body, Audio):
                    happening.body.samples()
        shares.append((time.process_time() - began_s) / BRIDGE_S)
    share = 100 * median(shares)
    what = f"bridge protocol to samples, {BRIDGE_RATE_HZ // 1000} kHz int16"
    return [Figure(what, share, "% of a core", "", "≤ 2 %", share <= 2.0)]


def replay_figures(recording: Path, sites: dict[Runtime, Path]) -> list[Figure]:
    """Ten minutes through the whole program."""
    step("replay")
    seconds: dict[Runtime, list[float]] = {runtime: [] for runtime in sites}
    for _ in range(3):
        for runtime, site in sites.items():
            seconds[runtime].append(program.replay_s(recording, site, runtime))
    return [
        Figure(
            f"replay of {REPLAY_S / 60:g} min, {runtime}",
            median(times),
            "s",
            f"{REPLAY_S / median(times):.0f} × real time",
        )
        for runtime, times in seconds.items()
    ]


def memory_figures(work: Path, recording: Path, sites: dict[Runtime, Path]) -> list[Figure]:
    """Resident memory of the daemon, connected to a broker."""
    step(f"the daemon's memory after {LISTEN_S:g} s")
    with EmbeddedBroker() as broker:
        configs = [unit_config(work, recording, runtime, site, broker.url) for runtime, site in sites.items()]
        memory = program.resident_mb(configs, LISTEN_S)
    figures = []
    for runtime, (resident_mb, peak_mb) in zip(sites, memory, strict=True):
        for what, mb in (("resident memory", resident_mb), ("peak of it", peak_mb)):
            ratio = f"{mb / 100:.2f} of the target"
            figures.append(Figure(f"daemon, {what}, {runtime}", mb, "MB", ratio, "≤ 100 MB", mb <= 100))
    return figures


def day_figures(work: Path, recording: Path, sites: dict[Runtime, Path]) -> list[Figure]:
    """A quiet day, as fast as it can be heard; and a quarter of one by four sensors."""
    figures = []
    with EmbeddedBroker() as broker:
        for runtime, site in sites.items():
            step(f"a day of audio, {runtime}")
            day, quarter_of_four = (
                program.hear(
                    unit_config(
                        work, recording, runtime, site, broker.url,
                        name=name, sensors=sensors, speed=0.0, times=round(hours * 3600.0 / REPLAY_S),
                    )
                )
                for name, sensors, hours in (("day", 1, DAY_HOURS), ("four", 4, DAY_HOURS / 4.0))
            )  # fmt: skip
            audio_s = DAY_HOURS * 3600.0
            share = 100.0 * day.cpu_s / audio_s
            linear = quarter_of_four.cpu_s / day.cpu_s
            figures += [
                Figure(
                    f"a day of one sensor, {runtime}", day.wall_s, "s", f"{audio_s / day.wall_s:.0f} × real time",
                    "≤ 90 s", day.wall_s <= 90.0,
                ),
                Figure(f"processor for one sensor, {runtime}", share, "%", "of one core", "≤ 3 %", share <= 3.0),
                Figure(f"a quarter day of four, {runtime}", quarter_of_four.cpu_s, "s", f"{linear:.2f} × a day of one"),
                Figure(
                    f"growth of memory, {runtime}", 2.0 * day.growth_mb, "MB", "a day, from its second half",
                    "< 0.5 MB", 2.0 * day.growth_mb < 0.5,
                ),
                Figure(
                    f"written in a quiet day, {runtime}", day.written_mb, "MB", "states each minute, not health",
                    "≤ 5 MB", day.written_mb <= 5.0,
                ),
            ]  # fmt: skip
    return figures


def unit_config(
    work: Path,
    recording: Path,
    runtime: Runtime,
    site: Path,
    broker_url: str,
    *,
    name: str = "listen",
    sensors: int = 1,
    speed: float = 1.0,
    times: int = 1,
) -> Path:
    """Write the configuration of a unit whose sensors all hear a recording, so many times over."""
    source = {"type": "wav", "files": times * [str(recording)], "speed": speed}
    config = {
        "unit": f"bench-{runtime}",
        "bundle": str(SHIPPED_BUNDLE),
        "state_dir": str(work / f"state-{name}-{runtime}"),
        "runtime": runtime,
        "sensors": [{"id": f"pipe-{number}", "site": str(site), "source": source} for number in range(sensors)],
        "mqtt": {"url": broker_url, "protocol": "3.1.1"},
    }
    path = work / f"{name}-{runtime}.yaml"
    path.write_text(json.dumps(config))  # JSON is YAML
    return path


def first_score_figures(recording: Path, sites: dict[Runtime, Path]) -> list[Figure]:
    """From the start of the process to the first score of a recording as long as a window."""
    step("import to first score")
    warm: dict[Runtime, list[float]] = {runtime: [] for runtime in sites}
    cold: dict[Runtime, list[float]] = {runtime: [] for runtime in sites}
    for _ in range(7):
        for runtime, site in sites.items():
            warm[runtime].append(program.first_score_s(recording, site, runtime))
    folders = [Path(sysconfig.get_path(name)) for name in ("stdlib", "platlib")]
    for _ in range(3):
        for runtime, site in sites.items():
            program.forget_files(folders)
            cold[runtime].append(program.first_score_s(recording, site, runtime))
    figures = []
    for what, seconds in (("warm", warm), ("files not in memory", cold)):
        for runtime, times in seconds.items():
            s = median(times)
            figures.append(
                Figure(
                    f"start to first score, {runtime}, {what}",
                    s,
                    "s",
                    f"{s / 0.5:.2f} of the target",
                    "≤ 0.5 s",
                    s <= 0.5,
                )
            )
    return figures


def print_table(machine: dict[str, str], figures: list[Figure]) -> None:
    for name, fact in machine.items():
        print(f"{name:<10} {fact}")
    width = max(len(figure.what) for figure in figures)
    print(f"\n{'figure':<{width}} {'value':>12}  {'ratio':<42} target")
    for figure in figures:
        mark = {True: "✓", False: "✗", None: ""}[figure.met]
        value = f"{figure.value:.3g} {figure.unit:<2}"
        print(f"{figure.what:<{width}} {value:>12}  {figure.ratio:<42} {figure.target:<9} {mark}".rstrip())


def step(what: str) -> None:
    print(f"bench: {what}", file=sys.stderr, flush=True)


def _lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines()


if __name__ == "__main__":
    sys.exit(main())
