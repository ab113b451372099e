"""The comparison, from a manifest to the report, through the command line."""

from __future__ import annotations

import csv
import json
import re
import signal
import subprocess
import sys
import time
from collections import defaultdict
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from hydroear_train.simulate import write_corpus

# Loud leaks and few parameters, so that a network this small is still the same in int8.
PLAN = """\
features: [log-mel, mfcc]
detectors: [mahalanobis, iforest]
front_end: &front_end {n_mels: 32, high_hz: 4000.0, window_frames: 32, window_hop_frames: 16}
extractors:
  tiny:
    front_end: *front_end
    extractor: {alpha: 0.35, frames_averaged: 2, layers: [block_1_expand_relu], steps: 40, pairs: 8,
      validation_pairs: 256}
    leaks: {snr_db: [30, 40]}
    autoencoder: {components: 6, hidden: 16, bottleneck: 2, epochs: 10, windows: 256}
"""
COLUMNS = ("--fold-column", "day", "--group-column", "site")


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "hydroear_train.cli", "compare", *map(str, arguments)]


def compare(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(*arguments), capture_output=True, text=True, check=False)


def records(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One simulated site on two days, with leaks on both."""
    folder = tmp_path_factory.mktemp("corpus") / "corpus"
    write_corpus(folder, sites=1, recordings_per_site=8, duration_s=8.0, leak_fraction=0.5, seed=6)
    rows = records(folder / "manifest.csv")
    with (folder / "manifest.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, [*rows[0], "day"])
        writer.writeheader()
        writer.writerows(row | {"day": ("monday", "friday")[number % 2]} for number, row in enumerate(rows))
    return folder / "manifest.csv"


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("plan") / "plan.yaml"
    file.write_text(PLAN)
    return file


@pytest.fixture(scope="module")
def out(manifest: Path, plan: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The whole plan, with one seed."""
    folder = tmp_path_factory.mktemp("runs") / "whole"
    done = compare("--manifest", manifest, *COLUMNS, "--plan", plan, "--seeds", 1, "--out", folder, "--json")
    assert done.returncode == 0, done.stderr
    assert "comparing: 100%" in done.stderr
    lines = json.loads(done.stdout.splitlines()[-1])
    assert [line["row"] for line in lines] == [row["row"] for row in records(folder / "compare.csv")]
    return folder


@pytest.fixture(scope="module")
def controls(manifest: Path, plan: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Only what needs no extractor, with three seeds."""
    folder = tmp_path_factory.mktemp("runs") / "controls"
    arguments = ("--manifest", manifest, *COLUMNS, "--plan", plan, "--seeds", 3, "--out", folder, "--quiet")
    done = compare(*arguments, "--rows", "log-mel+*")
    assert (done.returncode, done.stderr) == (0, "")
    return folder


def test_there_is_a_line_for_every_row_and_extractors_say_what_they_cost(out: Path) -> None:
    lines = {row["row"]: row for row in records(out / "compare.csv")}
    bound = ("supervised",)
    backends = {"log-mel": bound, "mfcc": bound, "tiny": ("product-ae", "product-site")}
    assert set(lines) == {f"{s}+{b}" for s, own in backends.items() for b in ("mahalanobis", "iforest", *own)}
    for line in lines.values():
        extractor = line["source"] == "tiny"
        assert (line["int8_bytes"] != "", line["latency_ms"] != "") == (extractor, extractor)
        if extractor:
            assert 10_000 < int(line["int8_bytes"]) < 100_000
            assert 0.0 < float(line["latency_ms"]) < 1000.0


def test_what_takes_no_chances_runs_once_and_has_no_spread(controls: Path) -> None:
    lines = {row["row"]: row for row in records(controls / "compare.csv")}
    seeds = {name.removeprefix("log-mel+"): line["seeds"] for name, line in lines.items()}
    assert seeds == {"mahalanobis": "1", "supervised": "1", "iforest": "3"}
    assert lines["log-mel+mahalanobis"]["window_auc_sd"] == ""
    assert float(lines["log-mel+iforest"]["window_auc_sd"]) > 0.0


@pytest.mark.parametrize("run", ["out", "controls"])
def test_the_numbers_are_those_of_the_scores_that_are_kept(
    run: str, manifest: Path, request: pytest.FixtureRequest
) -> None:
    folder: Path = request.getfixturevalue(run)
    truth = {row["file"]: row for row in records(manifest)}
    for line in records(folder / "compare.csv"):
        by_seed = defaultdict(list)
        for score in records(folder / "scores" / f"{line['row']}.csv"):
            assert truth[score["file"]]["day"] == score["fold"]
            by_seed[score["seed"]].append(score)
        assert len(by_seed) == int(line["seeds"])
        windows, by_fold, recordings = [], [], []
        for rows in by_seed.values():
            assert {row["file"] for row in rows} == set(truth)
            assert len(rows) == int(line["windows"])
            windows.append(auc(rows, truth))
            by_fold.append(np.mean([auc([r for r in rows if r["fold"] == f], truth) for f in ("monday", "friday")]))
            medians = {f: np.median([float(r["score"]) for r in rows if r["file"] == f]) for f in truth}
            recordings.append(auc([{"file": f, "score": str(median)} for f, median in medians.items()], truth))
        for column, values in (("window_auc", windows), ("by_fold_auc", by_fold), ("recording_auc", recordings)):
            assert float(line[column]) == pytest.approx(np.mean(values), abs=1e-12)
        if len(windows) > 1:
            assert float(line["window_auc_sd"]) == pytest.approx(np.std(windows, ddof=1), abs=1e-12)
        assert float(line["window_auc_low"]) <= float(line["window_auc_high"])


def auc(rows: list[dict[str, str]], truth: dict[str, dict[str, str]]) -> float:
    return float(
        roc_auc_score([truth[row["file"]]["label"] == "leak" for row in rows], [float(row["score"]) for row in rows])
    )


class Page(HTMLParser):
    """Collects what a page would load, and how often its tags occur."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.tags: dict[str, int] = defaultdict(int)
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.loaded += [value or "" for name, value in attrs if name in ("src", "srcset", "href", "data", "poster")]


def test_the_report_loads_nothing_and_shows_table_curves_and_spectrograms(out: Path) -> None:
    text = (out / "compare.html").read_text(encoding="utf-8")
    page = Page(text)
    assert {link.split(",")[0] for link in page.loaded if not link.startswith("#")} == {
        "data:image/svg+xml;base64",
        "data:image/png;base64",
    }
    assert not re.search(r"@import|url\(|https?:", re.sub(r"base64,[^\"]*", "", text))
    # ROC, histograms, and for the best extractor and the best control the worst misses and the worst false alarms.
    assert page.tags["img"] == 6
    assert page.tags["tr"] == 1 + 10
    for fact in ("recipe tiny sha256", "recordings sha256", "tensorflow", "hydroear-train compare --manifest"):
        assert fact in text
    table = (out / "compare.md").read_text(encoding="utf-8")
    assert "| tiny+product-site | 1 |" in table


def test_a_killed_run_goes_on_where_it_was(out: Path, manifest: Path, plan: Path, tmp_path: Path) -> None:
    arguments = ["--manifest", manifest, *COLUMNS, "--plan", plan, "--seeds", 1, "--out", tmp_path, "--quiet"]
    with (
        (tmp_path / "log").open("w") as log,
        subprocess.Popen(
            command(*arguments, "--rows", "tiny+product-*"), stdout=subprocess.DEVNULL, stderr=log
        ) as process,
    ):
        while not (bundles := list((tmp_path / "cache/bundles").glob("*.hydroear"))):
            assert process.poll() is None, (tmp_path / "log").read_text()
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
    assert len(bundles) == 1
    assert not (tmp_path / "compare.csv").exists()
    trained = bundles[0].stat().st_mtime_ns
    done = compare(*arguments, "--rows", "tiny+product-*")
    assert done.returncode == 0, done.stderr
    assert "made again" not in done.stderr
    assert bundles[0].stat().st_mtime_ns == trained
    assert len(list((tmp_path / "cache/bundles").glob("*.hydroear"))) == 2
    for name in ("tiny+product-ae.csv", "tiny+product-site.csv"):
        assert (tmp_path / "scores" / name).read_bytes() == (out / "scores" / name).read_bytes()


def test_damaged_files_are_made_again_with_a_note(controls: Path, manifest: Path, plan: Path) -> None:
    arguments = ("--manifest", manifest, *COLUMNS, "--plan", plan, "--seeds", 3, "--out", controls, "--quiet")
    before = (controls / "compare.csv").read_bytes()
    damaged = [*(controls / "cache/scores").iterdir(), next((controls / "cache/vectors").iterdir())]
    for file in damaged:
        file.write_bytes(file.read_bytes()[:-20])
    done = compare(*arguments, "--rows", "log-mel+*")
    assert done.returncode == 0, done.stderr
    assert set(done.stderr.splitlines()) == {f"{file}: damaged, made again" for file in damaged}
    assert (controls / "compare.csv").read_bytes() == before


@pytest.fixture(scope="module")
def simulated(plan: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("simulated")
    done = compare(
        "--simulator", "--sites", 2, "--plan", plan, "--out", folder, "--quiet",
        "--rows", "log-mel+mahalanobis", "log-mel+supervised",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return folder


def test_on_simulated_sites_louder_leaks_are_heard_better(simulated: Path) -> None:
    lines = {line["backend"]: line for line in records(simulated / "compare.csv")}
    line = lines["mahalanobis"]
    aucs = [float(line[f"auc_{snr}_dB"]) for snr in (-15, -10, -5, 0, 5)]
    assert aucs == sorted(aucs)
    assert aucs[-1] > 0.95
    level = float(line["snr_at_auc_90_db"])
    assert np.interp(level, (-15, -10, -5, 0, 5), aucs) == pytest.approx(0.9)
    scores = records(simulated / "scores/log-mel+mahalanobis.csv")
    assert {score["fold"] for score in scores} == {"simulated-site01", "simulated-site02"}
    assert not any("_learn_" in score["file"] or "_taught_" in score["file"] for score in scores)
    assert float(lines["supervised"]["auc_all_levels"]) > 0.8
    assert "AUC by level and by confounder" in (simulated / "compare.html").read_text(encoding="utf-8")


def refused(*arguments: object) -> tuple[int, str]:
    done = compare(*arguments)
    assert done.returncode, "it was not refused"
    assert "Traceback" not in done.stderr
    return done.returncode, done.stderr


def test_what_cannot_be_compared_is_refused_in_one_line(manifest: Path, plan: Path, tmp_path: Path) -> None:
    every = ("--manifest", manifest, *COLUMNS, "--plan", plan, "--out", tmp_path / "out")
    for arguments, code, message in (
        (every[:2] + every[6:], 2, "--manifest: needs --fold-column and --group-column"),
        ((*every, "--seeds", 0), 2, "--seeds: 0"),
        ((*every, "--rows", "log-mel+oracle"), 2, "'log-mel+oracle' names no row"),
        (
            ("--manifest", manifest, *every[-2:], "--fold-column", "week", "--group-column", "site"),
            2,
            "no column 'week'",
        ),
    ):
        assert refused(*arguments)[0] == code
        assert message in refused(*arguments)[1]
    rows = manifest.read_text().splitlines()
    twice = manifest.with_name("twice.csv")
    twice.write_text("\n".join([*rows, rows[1]]) + "\n")
    code, message = refused("--manifest", twice, *every[2:])
    assert (code, "the same recording as" in message) == (2, True)
    assert not (tmp_path / "out").exists()
