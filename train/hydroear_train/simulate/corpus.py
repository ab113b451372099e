"""A corpus of simulated recordings on disk: WAV files, a manifest, and what is to be heard in each."""

from __future__ import annotations

import csv
import io
import struct
import wave
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np

from hydroear.errors import UsageError
from hydroear_train.simulate.noise import Samples
from hydroear_train.simulate.scene import (
    DEMO_SITE,
    Scene,
    Span,
    check_recording,
    demo_scene,
    quiet_scene,
    random_spans,
    render,
)
from hydroear_train.simulate.site import Site, random_site

LEAK_SNR_DB = (-12.0, 6.0)
"""Range of the leaks in a corpus, over the site's background within 50 to 2000 Hz."""


@dataclass(frozen=True)
class Row:
    """A line of the manifest.

    Attributes
    ----------
    file
        Name of the recording, in the manifest's folder; begins with ``simulated_``.
    label
        ``leak`` when a leak is to be heard at any time, else ``normal``.
    session
        Recordings of one session share site and day; each site is visited once.
    seed
        Of the scene; with the site it makes the recording again.
    snr_db
        Of the leak, empty where there is none.
    """

    file: str
    label: str
    site: str
    session: str
    material: str
    diameter_mm: int
    sample_rate_hz: int
    seconds: float
    seed: int
    snr_db: float | str
    simulated: str = "yes"


@dataclass(frozen=True)
class Recording:
    """A scene with the name it is stored under."""

    name: str
    site: Site
    seed: int
    scene: Scene

    @property
    def row(self) -> Row:
        """Its line of the manifest."""
        leaks = [span.snr_db for span in self.scene.spans if span.kind == "leak"]
        return Row(
            file=f"{self.name}.wav",
            label="leak" if leaks else "normal",
            site=self.site.name,
            session=self.site.name,
            material=self.site.pipe.material,
            diameter_mm=round(self.site.pipe.diameter_m * 1000.0),
            sample_rate_hz=self.scene.rate_hz,
            seconds=round(len(self.scene.samples) / self.scene.rate_hz, 3),
            seed=self.seed,
            snr_db=round(max(leaks), 2) if leaks else "",
        )


def write_corpus(
    out_dir: Path,
    *,
    sites: int,
    recordings_per_site: int,
    duration_s: float,
    rate_hz: int = 16000,
    leak_fraction: float = 0.25,
    seed: int = 0,
    progress: Callable[[Iterable[Recording], int], Iterable[Recording]] = lambda recordings, _: recordings,
) -> list[Row]:
    """Write simulated recordings of random sites.

    The same arguments give the same files.

    Parameters
    ----------
    out_dir
        Folder to create; it may exist when it is empty.
    leak_fraction
        Part of each site's recordings that hear a leak throughout, within 0 to 1, rounded to whole recordings.
        All recordings, with a leak or without, hear the confounders of
        :func:`~hydroear_train.simulate.scene.random_spans`.
    progress
        Wraps the recordings, given their number, to show how far the work is.

    Returns
    -------
    list of Row
        The manifest.

    Raises
    ------
    UsageError
        For a number that makes no sense, or a folder that holds anything.
    """
    for option, value in (("--sites", sites), ("--recordings", recordings_per_site)):
        if value < 1:
            raise UsageError(f"{value}", where=option, expected="1 or more")
    if not 0.0 <= leak_fraction <= 1.0:
        raise UsageError(f"{leak_fraction:g}", where="--leak-fraction", expected="0 to 1")
    check_recording(duration_s, rate_hz, seed)

    def recordings() -> Iterator[Recording]:
        leaks = round(leak_fraction * recordings_per_site)
        for number, stream in enumerate(np.random.SeedSequence(seed).spawn(sites), start=1):
            rng = np.random.default_rng(stream)
            site = random_site(rng, name=f"simulated-{seed}-site{number:03d}")
            for index in range(recordings_per_site):
                scene_seed = int(rng.integers(2**31))
                spans = random_spans(site, duration_s, rng)
                leaking = index >= recordings_per_site - leaks
                if leaking:
                    spans.append(Span("leak", -1.0, duration_s + 1.0, float(rng.uniform(*LEAK_SNR_DB))))
                label = "leak" if leaking else "normal"
                name = f"simulated_{seed}_site{number:03d}_{index + 1:03d}_{label}"
                yield Recording(name, site, scene_seed, render(site, spans, duration_s, rate_hz, seed=scene_seed))

    return write_recordings(out_dir, progress(recordings(), sites * recordings_per_site))


def write_demo(out_dir: Path, *, rate_hz: int = 16000, seed: int = 0) -> list[Row]:
    """Write the demo scene and, for calibration, two minutes of the same site without a leak."""
    return write_recordings(
        out_dir,
        (
            Recording("simulated_demo", DEMO_SITE, seed, demo_scene(seed, rate_hz)),
            Recording(
                "simulated_demo_quiet", DEMO_SITE, seed + 1, quiet_scene(DEMO_SITE, 120.0, rate_hz, seed=seed + 1)
            ),
        ),
    )


def write_recordings(out_dir: Path, recordings: Iterable[Recording]) -> list[Row]:
    """Write recordings as 16-bit mono WAV, with ``manifest.csv`` and ``spans.csv`` beside them.

    The manifest is written last: a folder that has one is complete.

    Raises
    ------
    UsageError
        When the folder holds anything, cannot be made or cannot be written to.
    """
    try:
        out_dir.mkdir(parents=True, exist_ok=True)
        if any(out_dir.iterdir()):
            raise UsageError(
                "is not empty", where=out_dir, expected="a new or empty folder", fix="remove it or choose another"
            )
        return _write(out_dir, recordings)
    except OSError as error:
        raise UsageError(f"cannot write: {error.strerror}", where=error.filename or out_dir) from None


def _write(out_dir: Path, recordings: Iterable[Recording]) -> list[Row]:
    rows: list[Row] = []
    spans: list[dict[str, object]] = []
    for recording in recordings:
        row = recording.row
        comment = f"simulated by hydroear-train simulate, site {recording.site.name}, seed {recording.seed}"
        (out_dir / row.file).write_bytes(wav_bytes(recording.scene.samples, recording.scene.rate_hz, comment))
        rows.append(row)
        spans += [
            {
                "file": row.file,
                "kind": span.kind,
                "start_s": round(max(span.start_s, 0.0), 3),
                "end_s": round(min(span.end_s, row.seconds), 3),
                "snr_db": round(span.snr_db, 2),
            }
            for span in recording.scene.spans
        ]
    _write_csv(out_dir / "spans.csv", ["file", "kind", "start_s", "end_s", "snr_db"], spans)
    _write_csv(out_dir / "manifest.csv", [field.name for field in fields(Row)], [asdict(row) for row in rows])
    return rows


def wav_bytes(samples: Samples, rate_hz: int, comment: str) -> bytes:
    """A 16-bit mono WAV file with a comment (RIFF ``LIST INFO``, tag ``ICMT``) after the audio."""
    pcm = np.clip(np.rint(samples * 32768.0), -32768, 32767).astype("<i2")
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate_hz)
        file.writeframes(pcm.tobytes())
    text = comment.encode("ascii") + b"\0"
    text += b"\0" * (len(text) % 2)
    info = b"INFO" + b"ICMT" + struct.pack("<I", len(text)) + text
    body = buffer.getvalue()[8:] + b"LIST" + struct.pack("<I", len(info)) + info
    return b"RIFF" + struct.pack("<I", len(body)) + body


def _write_csv(path: Path, header: list[str], rows: Iterable[dict[str, object]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, header, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
