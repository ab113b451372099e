"""Shards hold a corpus whole, and training batches from them follow from the seed alone."""

import json
import resource
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from broker import free_port
from hydroear.dsp import FrontEndSpec
from hydroear.errors import HydroearError, UsageError
from hydroear_train.cluster import Cluster, WorkerError
from hydroear_train.corpus import Clip, Entry
from hydroear_train.shards import Shards, write_shards
from hydroear_train.spectra import band_means
from hydroear_train.strategy import Workers, single_worker
from hydroear_train.stream import Windows, stream_clips, stream_shards, training_batches

SPEC = FrontEndSpec(rate_hz=8000, n_fft=256, hop=128, n_mels=16, high_hz=4000.0, window_frames=16, window_hop_frames=8)


@pytest.fixture(scope="module")
def clips() -> list[Clip]:
    """Clips of a few windows and of many; every sample of all of them has a value of its own."""
    lengths = [SPEC.window_samples, 3 * SPEC.window_samples + 7, 150_000, 1_000_000]
    ends = np.cumsum([0, *lengths])
    return [
        Clip(
            Entry(Path(f"{number}.wav"), {"label": "normal"}),
            "ab"[number % 2],
            np.arange(ends[number], ends[number + 1], dtype=np.float32),
        )
        for number in range(len(lengths))
    ]


@pytest.fixture(scope="module")
def shards(clips: list[Clip], tmp_path_factory: pytest.TempPathFactory) -> Shards:
    return write_shards(clips, SPEC, tmp_path_factory.mktemp("cache"), data="ramps")


def identity(sources: Sequence[Windows], rng: np.random.Generator) -> tuple[NDArray[np.float32], ...]:
    starts = np.concatenate([windows.samples[:, :1] for windows in sources])
    return starts, rng.random(starts.shape, np.float32)


def batches(source: Any, workers: Workers, *, seed: int = 5, count: int = 6) -> list[NDArray[np.float32]]:
    """What batches hold: the first sample of each window beside the random number it was augmented with."""
    stream = training_batches(
        [source, source], identity, shapes=[(1,), (1,)], windows=8, parts=4, seed=seed, workers=workers
    )
    return [np.hstack(batch) for batch in stream.take(count).as_numpy_iterator()]


def test_every_sample_is_in_the_shards_with_its_site_and_recording(clips: list[Clip], shards: Shards) -> None:
    assert len(shards.files) > 1
    stretches = shards.clips(10_000, seed=0)
    assert min(len(stretch.samples) for stretch in stretches) == SPEC.window_samples
    for clip in clips:
        of_it = [stretch for stretch in stretches if stretch.entry.path == clip.entry.path]
        assert {stretch.group for stretch in of_it} == {clip.group}
        np.testing.assert_array_equal(np.unique(np.concatenate([stretch.samples for stretch in of_it])), clip.samples)
    assert len(shards.clips(3, seed=0)) == 3


def test_the_means_of_the_sites_are_those_of_the_clips_in_memory(clips: list[Clip], shards: Shards) -> None:
    expected = band_means(clips, SPEC)
    assert shards.means.keys() == expected.keys()
    for group, mean in expected.items():
        np.testing.assert_array_equal(shards.means[group], mean)


def test_shards_of_the_same_data_are_used_again_and_of_other_data_are_not(clips: list[Clip], tmp_path: Path) -> None:
    def unread() -> Iterator[Clip]:
        raise AssertionError("read again")
        yield

    first = write_shards(clips[:2], SPEC, tmp_path, data="two")
    again = write_shards(unread(), SPEC, tmp_path, data="two")
    assert again.files == first.files
    with pytest.raises(AssertionError, match="read again"):
        write_shards(unread(), SPEC, tmp_path, data="three")
    first.files[0].write_bytes(first.files[0].read_bytes()[:-1])
    with pytest.raises(AssertionError, match="read again"):
        write_shards(unread(), SPEC, tmp_path, data="two")
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_one_clear_error_and_leaves_nothing(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; import numpy as np; from hydroear.command import run_command;"
        "from hydroear.dsp import FrontEndSpec; from hydroear_train.corpus import Clip, Entry;"
        "from hydroear_train.shards import write_shards;"
        "clip = Clip(Entry(Path('a.wav'), {}), 'a', np.ones(1_000_000, np.float32));"
        "run = lambda: bool(write_shards([clip], FrontEndSpec(), Path(sys.argv[1]), data='ones'));"
        "sys.exit(run_command('program', run))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, tmp_path],
        env={"TF_CPP_MIN_LOG_LEVEL": "3"},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert f"program: error: {tmp_path}: shards cannot be written" in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_shard_is_one_clear_error(clips: list[Clip], tmp_path: Path) -> None:
    shards = write_shards(clips, SPEC, tmp_path, data="ramps")
    content = bytearray(shards.files[0].read_bytes())
    content[len(content) // 2] ^= 1
    shards.files[0].write_bytes(content)
    with pytest.raises(HydroearError, match="shards: damaged or gone"):
        shards.clips(10_000, seed=0)


def test_windows_are_drawn_from_all_of_the_corpus_and_lie_within_one_clip(clips: list[Clip], shards: Shards) -> None:
    ends = np.cumsum([len(clip.samples) for clip in clips])
    seen: Counter[int] = Counter()
    for samples, group, recording in stream_shards(shards, seed=0).take(2000).as_numpy_iterator():
        np.testing.assert_array_equal(np.diff(samples), 1)
        clip = int(np.searchsorted(ends, samples[0], side="right"))
        assert samples[-1] < ends[clip]
        assert group.decode() == clips[clip].group
        assert recording.decode() == str(clips[clip].entry.path)
        seen[clip] += 1
    assert set(seen) == {0, 1, 2, 3}
    assert seen[3] > seen[2] > seen[1]


@pytest.mark.parametrize("in_memory", [False, True])
def test_batches_follow_from_the_seed(clips: list[Clip], shards: Shards, in_memory: bool) -> None:
    first, again, other = [
        batches(
            stream_clips(clips, SPEC.window_samples, seed=seed) if in_memory else stream_shards(shards, seed=seed),
            single_worker(),
        )
        for seed in (0, 0, 1)
    ]
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    assert len(np.unique(np.concatenate(first)[:, 1])) == 6 * 16


def test_two_workers_see_together_what_one_sees(shards: Shards) -> None:
    one = batches(stream_shards(shards, seed=0), single_worker())
    halves = [batches(stream_shards(shards, seed=0), Workers(single_worker().strategy, i, 2)) for i in (0, 1)]
    for whole, first, second in zip(one, *halves, strict=True):
        assert len(first) == len(second) == 8
        together = np.vstack([first, second])
        np.testing.assert_array_equal(together[np.lexsort(together.T)], whole[np.lexsort(whole.T)])


def test_a_batch_that_cannot_be_dealt_out_is_refused(shards: Shards) -> None:
    with pytest.raises(UsageError, match="8 windows in 4 parts cannot be dealt out to 3 workers"):
        batches(stream_shards(shards, seed=0), Workers(single_worker().strategy, 0, 3))


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (None, "not set"),
        ("{", "no cluster"),
        ('{"cluster": {}}', "no cluster"),
        (json.dumps({"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 1}}), "index 1 with 1 worker"),
        (json.dumps({"cluster": {"worker": ["a"]}, "task": {"type": "worker", "index": 0}}), "worker 'a'"),
        (json.dumps({"cluster": {"ps": ["a:1"], "worker": ["a:1"]}, "task": {"type": "ps", "index": 0}}), "job 'ps'"),
    ],
)
def test_a_wrong_cluster_is_refused(config: str | None, message: str) -> None:
    with pytest.raises(UsageError, match=f"TF_CONFIG: .*{message}.*expected .*cluster"):
        Cluster.from_environment({} if config is None else {"TF_CONFIG": config})


def test_a_worker_that_does_not_come_is_named() -> None:
    with pytest.raises(WorkerError, match=r"no answer in 0\.3 s from 127\.0\.0\.1:9"):
        Cluster(("127.0.0.1:9", f"127.0.0.1:{free_port()}"), 1).gather(timeout_s=0.3)
