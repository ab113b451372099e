"""Real noises mixed into real recordings of healthy pipes, and what a unit says to them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from hydroear.audio import open_recording
from hydroear.dsp.resample import Resampler
from hydroear.errors import AudioError, UsageError
from hydroear.model import read_bundle
from hydroear_train.cache import Cache, code_sha256, library_versions, note
from hydroear_train.corpus import NORMAL, Entry, data_sha256, read_rows, recording_sha256
from hydroear_train.markdown import table
from hydroear_train.simulate.noise import Samples, band_rms, fade
from hydroear_train.soak import unit
from hydroear_train.soak.share import Share
from hydroear_train.splits import Split
from hydroear_train.textfile import csv_text
from hydroear_train.works import do_each

BAND_HZ = (200.0, 7000.0)
"""Where levels are compared: what a unit hears."""

PERSISTENCE = {"horizon_s": 20.0, "recheck_s": 10.0, "raise_decades": 3.0, "clear_decades": 1.5}
"""Settings of the decision section that fit into a minute; a unit's own horizon is ten minutes."""

NONE = "none"
_JOIN_S = 0.05
_EDGE_S = 0.01


@dataclass(frozen=True)
class Clip:
    """A recording of a noise.

    Attributes
    ----------
    path
        Where it lies.
    kind
        What it is of.
    """

    path: Path
    kind: str


@dataclass(frozen=True)
class Mixing:
    """How noises are mixed.

    Attributes
    ----------
    clips
        The noises.
    levels_db
        RMS of the pipe over that of the noise while it sounds, both within :data:`BAND_HZ`.
    seconds
        Length of a mix.
    seed
        Of which noise of a kind is taken, and of when it sounds.
    decision
        Settings of the unit's decision section; `raise_decades` is among them.
    """

    clips: tuple[Clip, ...]
    levels_db: tuple[float, ...]
    seconds: float
    seed: int
    decision: dict[str, float]

    @property
    def settings(self) -> list[str]:
        """The decision as KEY=VALUE."""
        return [f"{key}={value:g}" for key, value in self.decision.items()]


@dataclass(frozen=True)
class Mix:
    """What a unit said to a mix.

    Attributes
    ----------
    group, fold, file
        The recording of a healthy pipe.
    kind, clip, level_db
        The noise; kind :data:`NONE`, no clip and no level where there is none.
    once
        Whether any window was at the raise level or beyond: an alarm without persistence.
    persistent
        Whether an event opened.
    highest_decades
        Of the site scores.
    """

    group: str
    fold: str
    file: str
    kind: str
    clip: str
    level_db: float | None
    once: bool
    persistent: bool
    highest_decades: float


def read_clips(manifest: Path) -> tuple[Clip, ...]:
    """The noises of a manifest with columns ``file`` and ``kind``.

    Raises
    ------
    UsageError
        If it cannot be read.
    """
    rows = read_rows(manifest, required=("file", "kind"))
    return tuple(Clip(manifest.parent / row["file"], row["kind"]) for row in rows)


def bundles_of(splits: Sequence[Split], folder: Path) -> list[Path]:
    """For each split, the bundle in a folder, or below, that was trained on just its recordings, with the lowest seed.

    Raises
    ------
    UsageError
        If there is none.
    """
    found: dict[str, tuple[int, Path]] = {}
    for path in sorted(folder.rglob("*.hydroear")):
        provenance = read_bundle(path).provenance
        seed = int(provenance["recipe"]["seed"])
        data = provenance["data_sha256"]
        found[data] = min(found.get(data, (seed, path)), (seed, path))
    bundles = []
    for split in splits:
        data = data_sha256(split.training, quiet=True)
        if data not in found:
            raise UsageError(
                f"no bundle trained on the normal recordings of {split.group} outside fold {split.fold}",
                where=folder,
                expected="the cache of a crossval of this manifest with these columns",
            )
        bundles.append(found[data][1])
    return bundles


class Mixer:
    """Mixes noises into the held-out recordings of splits; what a unit says to them is kept.

    Parameters
    ----------
    mixing
        How.
    cache
        Folder of what is kept.
    scratch
        Folder for recordings while they are heard.
    """

    def __init__(self, mixing: Mixing, cache: Path, scratch: Path) -> None:
        self._mixing, self._cache, self._scratch = mixing, Cache(cache, note), scratch
        self._clips = [[clip.kind, recording_sha256(clip.path)] for clip in mixing.clips]

    def is_heard(self, split: Split, entry: Entry, bundle: Path) -> bool:
        """Whether :meth:`heard` only has to look it up."""
        return self._cache.find("mixes", ".json", self._key(split, entry, bundle)) is not None

    def heard(self, split: Split, entry: Entry, bundle: Path) -> list[Mix]:
        """What a unit with a bundle that learned the normals of a split says to mixes with one recording."""
        key = self._key(split, entry, bundle)
        path = self._cache.path("mixes", ".json", key, lambda: self._hear(split, entry, bundle))
        return [Mix(**values) for values in json.loads(path.read_text())]

    def _site_key(self, split: Split, bundle: Path) -> object:
        code = [code_sha256("hydroear.cli"), library_versions()]
        return [read_bundle(bundle).sha256, [recording_sha256(normal.path) for normal in split.normals], code]

    def _key(self, split: Split, entry: Entry, bundle: Path) -> object:
        mixing = asdict(self._mixing) | {"clips": self._clips}
        recording = [split.group, split.fold, entry.columns["file"], recording_sha256(entry.path)]
        return [self._site_key(split, bundle), mixing, recording, code_sha256(__name__)]

    def _hear(self, split: Split, entry: Entry, bundle: Path) -> bytes:
        import soundfile

        mixing = self._mixing
        with TemporaryDirectory(dir=self._scratch) as name:
            folder = Path(name)

            def learn() -> bytes:
                out = folder / "site.json"
                unit.calibrate([normal.path for normal in split.normals], bundle=bundle, out=out)
                return out.read_bytes()

            site = self._cache.path("sites", ".json", self._site_key(split, bundle), learn)
            pipe, rate_hz = _read(entry.path)
            pipe = looped(pipe, round(mixing.seconds * rate_hz), rate_hz)
            rng = np.random.default_rng([mixing.seed, *recording_sha256(entry.path).encode()])
            sounds: list[tuple[str, str, float | None, Samples]] = [(NONE, "", None, pipe)]
            for kind in sorted({clip.kind for clip in mixing.clips}):
                clips = [clip for clip in mixing.clips if clip.kind == kind]
                clip = clips[int(rng.integers(len(clips)))]
                noise = _noise(clip.path, rate_hz)[: len(pipe)]
                first = int(rng.integers(len(pipe) - len(noise) + 1))
                sounds += [
                    (kind, clip.path.name, level_db, mixed(pipe, noise, first, level_db, rate_hz))
                    for level_db in mixing.levels_db
                ]
            paths = [folder / f"{number}.wav" for number in range(len(sounds))]
            for path, (*_, samples) in zip(paths, sounds, strict=True):
                soundfile.write(path, samples, rate_hz, subtype="FLOAT")
            heard = unit.replay(paths, bundle=bundle, site=site, decision=mixing.settings)
        mixes = [
            Mix(
                group=split.group,
                fold=split.fold,
                file=entry.columns["file"],
                kind=kind,
                clip=clip_name,
                level_db=level_db,
                once=of.highest_decades >= mixing.decision["raise_decades"],
                persistent=bool(of.opened_s),
                highest_decades=of.highest_decades,
            )
            for (kind, clip_name, level_db, _), of in zip(sounds, heard, strict=True)
        ]
        return json.dumps([asdict(mix) for mix in mixes]).encode()


@dataclass(frozen=True)
class Mixed:
    """A held-out recording that is to be mixed and heard."""

    mixer: Mixer
    split: Split
    entry: Entry
    bundle: Path

    @property
    def name(self) -> str:
        """What people call it."""
        return f"{self.split.group}, {self.entry.columns['file']}"

    @property
    def is_done(self) -> bool:
        """Whether what was said is kept."""
        return self.mixer.is_heard(self.split, self.entry, self.bundle)

    def do(self) -> None:
        """Mix and hear."""
        self.mixer.heard(self.split, self.entry, self.bundle)


def hear_mixes(
    splits: Sequence[Split], bundles: Sequence[Path], mixing: Mixing, out: Path, *, jobs: int, quiet: bool
) -> list[Mix]:
    """Mix one noise of every kind at every level into every held-out normal recording, and have a unit hear it.

    Parameters
    ----------
    splits, bundles
        What is held out, and the bundle of each split.
    out
        Folder; what is kept lies in its ``cache``, from which an interrupted run goes on.
    jobs
        How many processes at once.
    quiet
        Whether to show no progress.

    Raises
    ------
    HydroearError
        If a recording cannot be used, or a unit fails.
    """
    with TemporaryDirectory(prefix="hydroear-confounders-") as scratch:
        mixer = Mixer(mixing, out / "cache", Path(scratch))
        works = [
            Mixed(mixer, split, entry, bundle)
            for split, bundle in zip(splits, bundles, strict=True)
            for entry in split.tests
            if entry.label == NORMAL
        ]
        do_each(works, title="listening", unit="recording", jobs=jobs, quiet=quiet)
        return [mix for work in works for mix in mixer.heard(work.split, work.entry, work.bundle)]


def looped(samples: Samples, n: int, rate_hz: int) -> Samples:
    """`samples` again and again to length `n`, each time faded into the next with constant power."""
    join = min(round(_JOIN_S * rate_hz), len(samples) // 2)
    ramp = np.sin(0.5 * np.pi * (np.arange(join) + 0.5) / join).astype(np.float32)
    piece = samples.copy()
    piece[:join] *= ramp
    piece[-join:] *= ramp[::-1]
    total = np.zeros(n + len(piece), np.float32)
    for first in range(0, n, len(piece) - join):
        total[first : first + len(piece)] += piece
    return total[:n]


def mixed(pipe: Samples, noise: Samples, first: int, level_db: float, rate_hz: int) -> Samples:
    """A pipe with a noise from sample `first` on, than which it is `level_db` louder; within full scale.

    Both levels are RMS within :data:`BAND_HZ`, of the whole pipe and of the noise.
    """
    gain = band_rms(pipe, rate_hz, BAND_HZ) / band_rms(noise, rate_hz, BAND_HZ) * 10.0 ** (-level_db / 20.0)
    total = pipe.copy()
    total[first : first + len(noise)] += np.float32(gain) * fade(noise, rate_hz, _EDGE_S)
    return np.asarray(total / max(1.0, float(np.abs(total).max()) / 0.99), dtype=np.float32)


def _noise(path: Path, rate_hz: int) -> Samples:
    """A noise at a rate, without the digital silence around it."""
    samples, own_rate_hz = _read(path)
    samples = Resampler(own_rate_hz, rate_hz).push(samples)
    sounding = np.flatnonzero(samples)
    if not len(sounding) or band_rms(samples, rate_hz, BAND_HZ) == 0.0:
        raise AudioError("digital silence", where=path, expected="a noise", fix="leave it out of the manifest")
    return samples[sounding[0] : sounding[-1] + 1]


def _read(path: Path) -> tuple[Samples, int]:
    with open_recording(path) as recording:
        return recording.read(recording.frames)[:, 0], recording.rate_hz


def shares(mixes: Sequence[Mix]) -> list[tuple[str, float | None, Share, Share]]:
    """By kind and level, quiet noises first: alarms without persistence, and with it. All kinds together are last."""
    keys = dict.fromkeys((mix.kind, mix.level_db) for mix in mixes)
    levels = dict.fromkeys(mix.level_db for mix in mixes if mix.level_db is not None)
    lines = [(kind, level, [m for m in mixes if (m.kind, m.level_db) == (kind, level)]) for kind, level in keys]
    lines += [("all", level, [m for m in mixes if m.level_db == level]) for level in levels]
    return [
        (kind, level, Share(sum(m.once for m in of), len(of)), Share(sum(m.persistent for m in of), len(of)))
        for kind, level, of in lines
    ]


def record_of(mixes: Sequence[Mix], mixing: Mixing) -> dict[str, Any]:
    """The shares as JSON values."""
    return {
        "decision": mixing.decision,
        "seconds": mixing.seconds,
        "seed": mixing.seed,
        "alarms": [
            {"kind": kind, "level_db": level, "once": once.record(), "persistent": persistent.record()}
            for kind, level, once, persistent in shares(mixes)
        ],
    }


def to_markdown(mixes: Sequence[Mix]) -> str:
    """The shares as a table in Markdown."""
    head = ["noise", "pipe over noise", "mixes with an alarm, without persistence", "with persistence"]
    body = [
        [kind, "" if level is None else f"{level:g} dB", str(once), str(persistent)]
        for kind, level, once, persistent in shares(mixes)
    ]
    return "\n".join(table(head, body))


def mixes_csv(mixes: Sequence[Mix]) -> str:
    """Every mix as a line of CSV."""
    header = [field.name for field in fields(Mix)]
    return csv_text(header, (["" if v is None else v for v in asdict(mix).values()] for mix in mixes))
