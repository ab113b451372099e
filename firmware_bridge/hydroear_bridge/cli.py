"""``hydroear-bridge``: the bridge's verbs."""

from __future__ import annotations

import argparse
import contextlib
import importlib.metadata
import json
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import BinaryIO, Literal

from hydroear_bridge.conversation import Conversation
from hydroear_bridge.device import Device
from hydroear_bridge.endpoint import Endpoint, Server, Terminal
from hydroear_bridge.errors import BridgeError, UsageError
from hydroear_bridge.faults import FAULTS, Faults
from hydroear_bridge.frames import (
    VERSION,
    Audio,
    Capabilities,
    Frame,
    Hello,
    SampleFormat,
    Sensor,
    SensorKind,
    SensorUnit,
    Start,
)
from hydroear_bridge.ports import BAUD, open_port
from hydroear_bridge.recorder import Recorder
from hydroear_bridge.serve import Simulator
from hydroear_bridge.session import Answer, Silence
from hydroear_bridge.simulator import check_rate_and_seed, noises, simulate, stored
from hydroear_bridge.sniff import Summary, as_json, describe, events
from hydroear_bridge.upload import erase, fetch, listed, write_wav

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
        help="be a simulated sensor, or write its byte stream",
        description="Write the byte stream of a SIMULATED sensor that sends white noise as 16-bit frames of 20 ms, "
        "over a link with faults. The first frame and the last two are spared from faults, so that every loss shows. "
        "With --at, be a sensor that answers, in real time, until Ctrl-C or for --seconds.",
    )
    simulated.add_argument(
        "--at",
        metavar="PLACE",
        help="where it is found: tcp:PORT (0 takes a free one), or a link to a terminal to make",
    )
    simulated.add_argument("--out", default="-", metavar="FILE", help="file to write; - is standard output (default)")
    simulated.add_argument("--seconds", type=float, metavar="S", help="length (default 10, with --at until Ctrl-C)")
    simulated.add_argument("--rate", type=int, default=16000, metavar="HZ", help="sample rate (default %(default)s)")
    simulated.add_argument(
        "--sensors",
        type=int,
        choices=range(1, 9),
        default=1,
        metavar="N",
        help="hydrophones and accelerometers by turns, 1 to 8 (default %(default)s)",
    )
    simulated.add_argument(
        "--faults", default="", metavar="NAME=NUMBER,...", help=f"what goes wrong: {', '.join(FAULTS)}; see the README"
    )
    simulated.add_argument(
        "--seed", type=int, default=0, metavar="N", help="same seed, same bytes (default %(default)s)"
    )
    simulated.add_argument(
        "--recordings",
        type=int,
        default=0,
        metavar="N",
        help="nights in its memory, of 10 s each (default %(default)s)",
    )
    simulated.set_defaults(func=_simulate)

    port = argparse.ArgumentParser(add_help=False)
    port.add_argument(
        "port",
        metavar="PORT",
        help="usb:VID:PID[:SERIAL], tcp://HOST:PORT, a serial line such as /dev/serial/by-id/..., or a file of bytes",
    )
    port.add_argument("--baud", type=int, default=BAUD, metavar="N", help="of a UART (default %(default)s)")

    hello = verbs.add_parser(
        "hello", parents=[port], help="ask a device who it is", description="Ask a device who it is."
    )
    hello.add_argument("--json", action="store_true", help="print it as JSON")
    hello.set_defaults(func=_hello)

    record = verbs.add_parser(
        "record",
        parents=[port],
        help="record a sensor to WAV files",
        description="Record a sensor to WAV files, one from each boot of the device, with a JSON file beside each: "
        "what the device is, and every gap, filled with zeros, with its exact place. Ctrl-C ends a recording in order. "
        "Exit code 1 if no sample came.",
    )
    record.add_argument("--out", type=Path, required=True, metavar="DIR", help="where the files go")
    record.add_argument("--seconds", type=float, required=True, metavar="S", help="how long to listen")
    record.add_argument("--stream", type=int, default=1, metavar="N", help="which sensor (default %(default)s)")
    record.add_argument("--rate", type=int, metavar="HZ", help="sample rate (default: the first that the sensor names)")
    record.add_argument("--capture", type=Path, metavar="FILE", help="keep the bytes as well, for sniff")
    record.add_argument("--quiet", action="store_true", help="no progress bar")
    record.set_defaults(func=_record)

    upload = verbs.add_parser(
        "upload",
        parents=[port],
        help="fetch what a logger has recorded",
        description="Fetch what a battery logger has recorded by night, and write it to WAV files with their true "
        "time. What has come stays; the same command goes on where it was broken off. The device forgets nothing "
        "unless asked to, and then only what is here whole, by its CRC.",
    )
    upload.add_argument("--out", type=Path, required=True, metavar="DIR", help="where the files go")
    upload.add_argument("--erase", action="store_true", help="have the device forget each recording that is here whole")
    upload.add_argument("--quiet", action="store_true", help="no progress bar")
    upload.set_defaults(func=_upload)
    return parser


def _upload(args: argparse.Namespace) -> int:
    from tqdm import tqdm

    try:
        args.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{args.out}: {error.strerror}") from None
    with open_port(args.port, baud=args.baud) as port:
        conversation = Conversation(port)
        hello = conversation.greet()
        if Capabilities.RECORDINGS not in hello.capabilities:
            raise BridgeError(f"{args.port}: keeps no recordings")
        entries = listed(conversation)
        for entry in entries:
            path = args.out / f"{hello.uid.hex() or 'device'}-{entry.recording}.bin"
            with tqdm(total=entry.size, unit="B", unit_scale=True, desc=path.stem, disable=args.quiet) as progress:
                fetch(conversation, entry, path, progress.update)
            for written in write_wav(path, entry):
                print(
                    f"{args.out / written.file}: {written.samples / written.rate_hz:.2f} s, {written.samples} samples"
                )
            if args.erase:
                erase(conversation, entry)
    print(f"{len(entries)} recording(s) are here" + (" and nowhere else" if args.erase and entries else ""))
    return 0


def _hello(args: argparse.Namespace) -> int:
    with open_port(args.port, baud=args.baud) as port:
        hello = Conversation(port).greet()
    if args.json:
        told = asdict(hello) | {"uid": hello.uid.hex(), "capabilities": [one.name for one in hello.capabilities]}
        print(json.dumps(told))
        return 0
    print(f"{hello.model or 'a device'}, hardware {hello.hardware or '?'}, firmware {hello.firmware or '?'}")
    print(f"uid {hello.uid.hex() or 'none'}, boot {hello.boot_id:08x}, payloads up to {hello.max_payload} bytes")
    print(f"does {', '.join((one.name or '?').lower() for one in hello.capabilities) or 'nothing but send'}")
    for sensor in hello.sensors:
        print(_describe(sensor))
    return 0


def _describe(sensor: Sensor) -> str:
    kind = SensorKind(sensor.kind).name.lower() if sensor.kind in list(SensorKind) else f"kind {sensor.kind}"
    unit = SensorUnit(sensor.unit).name.lower() if sensor.unit in list(SensorUnit) else f"unit {sensor.unit}"
    rates = " or ".join(f"{rate / 1000:g}" for rate in sensor.rates_millihz) or "?"
    formats = " or ".join(one.name.lower() for one in sensor.formats) or "?"
    gains = ", ".join(f"{gain / 100:g}" for gain in sensor.gains_centidb) or "fixed"
    return (
        f"stream {sensor.stream}: {kind}, {sensor.channels} channel(s), {rates} Hz, {formats}, gains in dB: {gains}, "
        f"full scale {sensor.full_scale_units:g} {unit}"
    )


def _record(args: argparse.Namespace) -> int:
    if not 0 < args.seconds <= 1e7:
        raise UsageError(f"seconds is {args.seconds:g}, expected above 0, at most 1e+07")
    try:
        recorder = Recorder(args.out, args.stream)
    except OSError as error:
        raise UsageError(f"{args.out}: {error.strerror}") from None
    capture = contextlib.nullcontext(None) if args.capture is None else _open(str(args.capture), "wb")
    with capture as kept, open_port(args.port, baud=args.baud) as port:
        conversation = Conversation(port, kept)
        try:
            # Ctrl-C is how one ends a recording early; what was heard is kept.
            with contextlib.suppress(KeyboardInterrupt):
                _listen(conversation, recorder, args)
        finally:
            recorder.close()
    for recording in recorder.done:
        lost = sum(gap.count for gap in recording.gaps)
        print(
            f"{args.out / recording.file}: {recording.samples / recording.rate_hz:.2f} s, {recording.samples} samples, "
            f"{lost} of them lost in {len(recording.gaps)} gap(s)"
        )
    if not recorder.samples:
        raise BridgeError(
            f"{args.port}: no sample of stream {args.stream}; look with: hydroear-bridge hello {args.port}"
        )
    return 0


def _listen(conversation: Conversation, recorder: Recorder, args: argparse.Namespace) -> None:
    from tqdm import tqdm

    began_s = now_s = time.monotonic()
    session = conversation.session
    progress = tqdm(
        total=args.seconds, unit="s", disable=args.quiet, bar_format="{l_bar}{bar}| {n:.0f}/{total:.0f} s {postfix}"
    )
    with progress:
        for happening in conversation.listen(began_s + args.seconds):
            now_s = time.monotonic()
            taken_s = None
            match happening:
                case Frame(body=Hello() as hello):
                    session.subscribe(args.stream, _start(hello, args), now_s)
                case Frame(body=Audio(), device_time_us=device_us):
                    taken_s = session.clock.time_s(device_us)
                case Answer(request=Start(), granted=False, result=result) if result is not None:
                    raise BridgeError(f"{args.port}: refused to start stream {args.stream}: {result.code!s}")
                case Silence(duration_s=silent_s):
                    raise BridgeError(f"{args.port}: silent for {silent_s:.0f} s; check its cable and its supply")
            recorder.take(happening, None if taken_s is None else time.time() - now_s + taken_s)
            progress.set_postfix_str(f"{recorder.samples} samples", refresh=False)
            progress.update(min(now_s - began_s, args.seconds) - progress.n)


def _start(hello: Hello, args: argparse.Namespace) -> Start:
    sensor = next((one for one in hello.sensors if one.stream == args.stream), None)
    if sensor is None and hello.sensors:
        there = ", ".join(str(one.stream) for one in hello.sensors)
        raise UsageError(f"{args.port}: has no stream {args.stream}; there is {there}")
    formats = [] if sensor is None else [one for one in sensor.formats if one != SampleFormat.FLOAT32]
    rates = () if sensor is None else sensor.rates_millihz
    if args.rate is not None:
        rate_millihz = 1000 * args.rate
    elif rates:
        rate_millihz = rates[0]
    else:
        raise UsageError(f"{args.port}: names no sample rate; give one with --rate")
    # The widest of 24 bits at most: no converter of a pipe's sound has more.
    narrow = [one for one in formats if one != SampleFormat.INT32]
    return Start(rate_millihz=rate_millihz, sample_format=max(narrow or formats, default=SampleFormat.INT16))


def _serve(args: argparse.Namespace) -> int:
    check_rate_and_seed(args.rate, args.seed)
    faults = Faults.parse(args.faults)
    device = Device(
        *noises(args.seed, args.sensors),
        rate_hz=args.rate,
        boot_id=args.seed % 2**32,
        ppm=faults.drift,
        late_hello_s=faults.late_hello,
        floods_log=faults.flood > 0.0,
        recordings=[stored(night, args.rate) for night in range(args.recordings)],
    )
    endpoint = _endpoint(args.at)
    try:
        print(f"a simulated sensor at {endpoint.name}", file=sys.stderr)
        with contextlib.suppress(KeyboardInterrupt):
            Simulator(device, endpoint, faults, args.seed).run(*([] if args.seconds is None else [args.seconds]))
    finally:
        endpoint.close()
    return 0


def _endpoint(place: str) -> Endpoint:
    if not place.startswith("tcp:"):
        return Terminal(Path(place))
    number = place.removeprefix("tcp:")
    if not number.isdecimal() or int(number) > 65535:
        raise UsageError(f"{place} is no place; expected tcp:PORT, PORT 0 to 65535, or the name of a link to make")
    return Server(int(number))


def _simulate(args: argparse.Namespace) -> int:
    if args.at is not None:
        return _serve(args)
    if args.out == "-" and sys.stdout.isatty():
        raise UsageError(
            "bytes would go to the terminal; name a file with --out, or pipe them to: hydroear-bridge sniff -"
        )
    stream = simulate(
        duration_s=10.0 if args.seconds is None else args.seconds,
        rate_hz=args.rate,
        sensors=args.sensors,
        faults=Faults.parse(args.faults),
        seed=args.seed,
    )
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
