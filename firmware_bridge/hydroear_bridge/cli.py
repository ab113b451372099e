"""``hydroear-bridge``: the bridge's verbs."""

from __future__ import annotations

import argparse
import contextlib
import importlib.metadata
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import BinaryIO, Literal

from hydroear_bridge.errors import BridgeError, UsageError
from hydroear_bridge.faults import FAULTS, Faults
from hydroear_bridge.frames import VERSION, Audio
from hydroear_bridge.simulator import simulate
from hydroear_bridge.sniff import Summary, as_json, describe, events

_READ_SIZE = 65536


def main(argv: list[str] | None = None) -> int:
    """Run one verb; failures the user can mend become one line on stderr and an exit code."""
    try:
        args = _parser().parse_args(argv)
        code: int = args.func(args)
        sys.stdout.flush()
    except BridgeError as error:
        print(f"hydroear-bridge: error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # Whoever read our output has gone; keep the interpreter from complaining about it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except OSError as error:
        print(f"hydroear-bridge: error: {error.strerror}", file=sys.stderr)
        return 1
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="hydroear-bridge", description="Read and make the byte stream of a sensor microcontroller."
    )
    version = importlib.metadata.version("hydroear")
    parser.add_argument("--version", action="version", version=f"%(prog)s {version}")
    verbs = parser.add_subparsers(metavar="VERB", required=True)

    sniff = verbs.add_parser(
        "sniff",
        help="decode a captured byte stream",
        description="Decode a captured byte stream: one line a frame and a loss, then a summary. Exit code 1 if bad "
        "frames were met, or no frame at all.",
    )
    sniff.add_argument("file", metavar="FILE", help="captured bytes; - reads standard input")
    sniff.add_argument("--json", action="store_true", help="print each line as a JSON object")
    sniff.set_defaults(func=_sniff)

    simulated = verbs.add_parser(
        "simulate",
        help="write the byte stream of a simulated sensor",
        description="Write the byte stream of a SIMULATED sensor that sends white noise as 16-bit frames of 20 ms, "
        "over a link with faults. The first frame and the last two are spared from faults, so that every loss shows.",
    )
    simulated.add_argument("--out", default="-", metavar="FILE", help="file to write; - is standard output (default)")
    simulated.add_argument("--seconds", type=float, default=10.0, metavar="S", help="length (default %(default)g)")
    simulated.add_argument("--rate", type=int, default=16000, metavar="HZ", help="sample rate (default %(default)s)")
    simulated.add_argument(
        "--faults", default="", metavar="NAME=NUMBER,...", help=f"what goes wrong: {', '.join(FAULTS)}; see the README"
    )
    simulated.add_argument(
        "--seed", type=int, default=0, metavar="N", help="same seed, same bytes (default %(default)s)"
    )
    simulated.set_defaults(func=_simulate)
    return parser


def _simulate(args: argparse.Namespace) -> int:
    if args.out == "-" and sys.stdout.isatty():
        raise UsageError(
            "bytes would go to the terminal; name a file with --out, or pipe them to: hydroear-bridge sniff -"
        )
    stream = simulate(duration_s=args.seconds, rate_hz=args.rate, faults=Faults.parse(args.faults), seed=args.seed)
    sent = frames_lost = samples_lost = 0
    with _open(args.out, "wb") as out:
        for item in stream:
            out.write(item.wire)
            sent += 1
            if not item.arrives:
                frames_lost += 1
                samples_lost += item.frame.body.count if isinstance(item.frame.body, Audio) else 0
        out.flush()
    print(f"simulated {sent} frames; {frames_lost} of them, {samples_lost} samples, cannot arrive", file=sys.stderr)
    return 0


def _sniff(args: argparse.Namespace) -> int:
    summary = Summary()
    with _open(args.file, "rb") as file:
        for event in events(_parts(file), summary):
            print(json.dumps(as_json(event)) if args.json else describe(event))
    print(json.dumps({"kind": "summary", **asdict(summary)}) if args.json else f"summary: {summary}")
    if not summary.frames:
        raise BridgeError(
            f"{args.file}: no frame in {summary.bytes} bytes; check the baud rate, and that the sender speaks "
            f"protocol version {VERSION}"
        )
    return 1 if summary.bad_frames else 0


def _parts(file: BinaryIO) -> Iterator[bytes]:
    # Ctrl-C is how one stops listening to a live stream; what was heard is still summed up.
    with contextlib.suppress(KeyboardInterrupt):
        while part := os.read(file.fileno(), _READ_SIZE):
            yield part


def _open(name: str, mode: Literal["rb", "wb"]) -> contextlib.AbstractContextManager[BinaryIO]:
    if name == "-":
        return contextlib.nullcontext(sys.stdin.buffer if mode == "rb" else sys.stdout.buffer)
    try:
        return Path(name).open(mode)
    except OSError as error:
        raise UsageError(f"{name}: {error.strerror}") from None


if __name__ == "__main__":
    sys.exit(main())
