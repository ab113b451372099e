"""The verb ``hydroear-train simulate``."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable
from pathlib import Path

from hydroear_train.simulate.corpus import Recording, write_corpus, write_demo


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the verb."""
    parser = subparsers.add_parser(
        "simulate",
        help="write simulated recordings of water mains, with labels",
        description="Write SIMULATED recordings of random sites, made by a physical model of jet, pipe, sensor and "
        "street: 16-bit WAV files, manifest.csv and spans.csv. For trying things out, never for claiming results.",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="new or empty folder to write to")
    parser.add_argument("--sites", type=int, default=8, metavar="N", help="number of sites (default %(default)s)")
    parser.add_argument(
        "--recordings", type=int, default=12, metavar="N", help="recordings at each site (default %(default)s)"
    )
    parser.add_argument(
        "--seconds", type=float, default=60.0, metavar="S", help="length of each recording (default %(default)g)"
    )
    parser.add_argument("--rate", type=int, default=16000, metavar="HZ", help="sample rate (default %(default)s)")
    parser.add_argument(
        "--leak-fraction",
        type=float,
        default=0.25,
        metavar="X",
        help="part of each site's recordings with a leak, 0 to 1 (default %(default)g)",
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="same seed, same files (default %(default)s)")
    parser.add_argument(
        "--demo-scene",
        action="store_true",
        help="write the demo's four minutes (tap, lorry, leak, repair) and two quiet minutes of its site instead; "
        "only --out, --rate and --seed apply",
    )
    parser.add_argument("--json", action="store_true", help="print the summary as JSON")
    parser.set_defaults(func=_run)


def _run(args: argparse.Namespace) -> int:
    if args.demo_scene:
        rows = write_demo(args.out, rate_hz=args.rate, seed=args.seed)
    else:
        rows = write_corpus(
            args.out,
            sites=args.sites,
            recordings_per_site=args.recordings,
            duration_s=args.seconds,
            rate_hz=args.rate,
            leak_fraction=args.leak_fraction,
            seed=args.seed,
            progress=_bar,
        )
    leaks = sum(row.label == "leak" for row in rows)
    sites = len({row.site for row in rows})
    minutes = sum(row.seconds for row in rows) / 60.0
    if args.json:
        summary = {
            "manifest": str(args.out / "manifest.csv"),
            "simulated": True,
            "recordings": len(rows),
            "normal": len(rows) - leaks,
            "leak": leaks,
            "sites": sites,
            "minutes": round(minutes, 2),
            "sample_rate_hz": args.rate,
            "seed": args.seed,
        }
        print(json.dumps(summary))
    else:
        print(
            f"simulated {len(rows)} recordings ({len(rows) - leaks} normal, {leaks} with a leak), "
            f"{minutes:.1f} min at {sites} site{'s' if sites != 1 else ''}: {args.out / 'manifest.csv'}"
        )
    return 0


def _bar(recordings: Iterable[Recording], total: int) -> Iterable[Recording]:
    try:
        from tqdm import tqdm
    except ImportError:  # it comes with the train extra, which the simulator does without
        return recordings
    bar: Iterable[Recording] = tqdm(recordings, total=total, desc="simulate", unit="recording", disable=None, delay=1)
    return bar
