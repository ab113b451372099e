"""``hydroear-bridge``: the bridge's verbs."""

from __future__ import annotations

import argparse
import contextlib
import importlib.metadata
import json
import mmap
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Literal

from hydroear_bridge import wav
from hydroear_bridge.conversation import Conversation
from hydroear_bridge.device import Device, Sound, StoredRecording
from hydroear_bridge.endpoint import Endpoint, Server, Terminal
from hydroear_bridge.errors import BridgeError, UsageError
from hydroear_bridge.faults import FAULTS, LINK_FAULTS, Faults, Link
from hydroear_bridge.frames import (
    VERSION,
    Audio,
    Capabilities,
    Frame,
    Hello,
    Recording,
    Result,
    ResultCode,
    SampleFormat,
    Sensor,
    SensorKind,
    SensorUnit,
    Start,
)
from hydroear_bridge.image import Image
from hydroear_bridge.link import DELIMITER
from hydroear_bridge.playback import Piece, carried, pieces
from hydroear_bridge.player import play
from hydroear_bridge.ports import BAUD, open_port
from hydroear_bridge.recorder import Recorder, iso
from hydroear_bridge.recorder import Recording as Written
from hydroear_bridge.serve import Simulator
from hydroear_bridge.session import Answer, Silence
from hydroear_bridge.simulator import (
    FIRST_NIGHT_S,
    NIGHT_S,
    check_rate_and_seed,
    kept,
    noises,
    simulate,
    stored,
    tape,
)
from hydroear_bridge.sniff import Summary, as_json, describe, events
from hydroear_bridge.upload import Contents, erase, fetch, file_name, listed, write_wav

if TYPE_CHECKING:
    from hydroear_bridge.smp_server import SmpServer

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
        "With --at, be a sensor that answers, in real time, until Ctrl-C or for --seconds, with nights in its memory "
        "as a logger has.",
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
        "--sound",
        type=Path,
        metavar="WAV",
        help="what its first sensor hears, over and over (default white noise); one channel",
    )
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
        help="nights of white noise in its memory (default %(default)s)",
    )
    simulated.add_argument(
        "--night",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="one more night in its memory: the sound of a WAV file, or bytes of a link as they are; several times",
    )
    simulated.add_argument(
        "--night-seconds",
        type=float,
        metavar="S",
        help=f"length of each of them, but those of bytes (default {NIGHT_S:g} of noise, else the sound's)",
    )
    simulated.add_argument(
        "--first-night",
        type=_utc_s,
        default=FIRST_NIGHT_S,
        metavar="TIME",
        help="when the first began, one each day, as 2025-01-01T01:00:00Z (default)",
    )
    simulated.add_argument(
        "--updates", action="store_true", help="take updates of its firmware, with a boot loader; with --at"
    )
    simulated.set_defaults(func=_simulate)

    replay = verbs.add_parser(
        "replay",
        help="play captured bytes as if their device were there",
        description="Play captured bytes, or the recording of a logger, as if the device were there and heard nobody: "
        "its samples to the byte, in the time that its own stamps tell, from the moment on at which somebody listens. "
        "Its HELLO offers no more than is kept so. Without --at it is written as it is, at once.",
    )
    replay.add_argument("file", metavar="FILE", help="bytes of record --capture, or a recording of upload")
    replay.add_argument("--at", metavar="PLACE", help="where it is found: tcp:PORT, or a link to a terminal to make")
    replay.add_argument("--out", default="-", metavar="FILE", help="file to write; - is standard output (default)")
    replay.add_argument(
        "--speed", type=float, metavar="X", help="times as fast (default 1); 0: as fast as the receiver takes it"
    )
    replay.add_argument(
        "--faults", default="", metavar="NAME=NUMBER,...", help=f"what goes wrong: {', '.join(LINK_FAULTS)}"
    )
    replay.add_argument("--seed", type=int, default=0, metavar="N", help="same seed, same faults (default %(default)s)")
    replay.add_argument("--quiet", action="store_true", help="no progress bar")
    replay.set_defaults(func=_replay)

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
        "unless asked to, and then only what is here whole, by its CRC. Beside each WAV file a JSON file tells what "
        "the device is, and every gap with its exact place.",
    )
    upload.add_argument("--out", type=Path, required=True, metavar="DIR", help="where the files go")
    upload.add_argument("--erase", action="store_true", help="have the device forget each recording that is here whole")
    upload.add_argument("--json", action="store_true", help="print a JSON object a recording, with its files and gaps")
    upload.add_argument("--quiet", action="store_true", help="no progress bar")
    upload.set_defaults(func=_upload)

    update = verbs.add_parser(
        "update",
        parents=[port],
        help="update a device's firmware",
        description="Update the firmware of a device with MCUmgr and MCUboot: upload an image, have it tested, wait "
        "until the device is back, and confirm the image once it has said HELLO twice. What was broken off goes on "
        "with the same command. Exit code 1 if the device came back with what it had.",
    )
    update.add_argument("image", type=Path, metavar="IMAGE", help="image for MCUboot, as imgtool signs it")
    update.add_argument("--json", action="store_true", help="print a JSON object at the end, instead of each step")
    update.add_argument("--quiet", action="store_true", help="no progress bar")
    update.set_defaults(func=_update)
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
            path = args.out / file_name(hello, entry)
            bar = tqdm(total=entry.size, unit="B", unit_scale=True, miniters=1, desc=path.stem, disable=args.quiet)
            with bar as progress:
                fetch(conversation, entry, path, progress.update)
            contents = write_wav(path, entry)
            if args.erase:
                erase(conversation, entry)
            _tell_uploaded(path, entry, contents, args)
    if not args.json:
        print(f"{len(entries)} recording(s) are here" + (" and nowhere else" if args.erase and entries else ""))
    return 0


def _tell_uploaded(path: Path, entry: Recording, contents: Contents, args: argparse.Namespace) -> None:
    if args.json:
        told = {
            "recording": entry.recording,
            "file": path.name,
            "size": entry.size,
            "crc32": f"{entry.crc32:08x}",
            "start": None if entry.start_utc_us is None else iso(1e-6 * entry.start_utc_us),
            "duration_s": entry.duration_ms / 1000,
            "erased": args.erase,
            **asdict(contents),
        }
        print(json.dumps(told), flush=True)
        return
    for written in contents.files:
        _tell_written(args.out, written)
    if contents.bad_frames or not contents.files:
        samples = "" if contents.files else ", no samples"
        print(f"{path}: {contents.bad_frames} bad frame(s){samples}; look with: hydroear-bridge sniff {path}")


def _tell_written(folder: Path, written: Written) -> None:
    lost = sum(gap.count for gap in written.gaps)
    print(
        f"{folder / written.file}: {written.samples / written.rate_hz:.2f} s, {written.samples} samples, "
        f"{lost} of them lost in {len(written.gaps)} gap(s)"
    )


def _update(args: argparse.Namespace) -> int:
    from tqdm import tqdm

    with _needing_smp():
        from hydroear_bridge.tunnel import Tunnel
        from hydroear_bridge.update import Outcome, Updater
    with _open(str(args.image), "rb") as file:
        data = file.read()
    try:
        image = Image.from_bytes(data)
    except BridgeError as error:
        raise UsageError(f"{args.image}: {error}") from None
    tunnel = Tunnel(lambda: open_port(args.port, baud=args.baud))
    with tqdm(total=len(data), unit="B", unit_scale=True, miniters=1, disable=args.quiet or args.json) as bar:
        update = Updater(
            tunnel,
            data,
            tell=(lambda _: None) if args.json else bar.write,
            progress=lambda offset: bar.update(offset - bar.n),
        ).run()
    if args.json:
        told = {"image": image.version, "sha256": image.sha256.hex(), **asdict(update), "outcome": update.outcome.value}
        print(json.dumps(told))
    elif update.outcome is not Outcome.ROLLED_BACK:
        print(f"{update.outcome.value}: firmware {update.before or '?'} before, {update.now or '?'} now")
    if update.outcome is Outcome.ROLLED_BACK:
        raise BridgeError(
            f"{args.port}: rolled back: the device came back with firmware {update.now or '?'}, not {image.version}; "
            "its boot loader did not take the image, or the image did not live to be confirmed"
        )
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
            for written in recorder.done:
                _tell_written(args.out, written)
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
                case Answer(request=Start(), granted=False, result=Result(code=code)) if code != ResultCode.BUSY:
                    raise BridgeError(f"{args.port}: does not start stream {args.stream}: {happening.said}")
                case Silence(duration_s=silent_s):
                    raise BridgeError(f"{args.port}: silent for {silent_s:.0f} s; check its cable and its supply")
            recorder.take(happening, None if taken_s is None else time.time() - now_s + taken_s)
            progress.set_postfix_str(f"{recorder.samples} samples", refresh=False)
            progress.update(min(now_s - began_s, args.seconds) - progress.n)


def _start(hello: Hello, args: argparse.Namespace) -> Start:
    sensor = hello.sensor(args.stream)
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
    faults = Faults.parse(args.faults)
    device = Device(
        *_sounds(args),
        rate_hz=args.rate,
        boot_id=args.seed % 2**32,
        ppm=faults.drift,
        late_hello_s=faults.late_hello,
        floods_log=faults.flood > 0.0,
        updates=_updates() if args.updates else None,
        crashes=faults.crash > 0.0,
        recordings=[_night(number, file, args) for number, file in enumerate([None] * args.recordings + args.night)],
    )
    endpoint = _endpoint(args.at)
    try:
        print(f"a simulated sensor at {endpoint.name}", file=sys.stderr)
        with contextlib.suppress(KeyboardInterrupt):
            Simulator(device, endpoint, faults, args.seed).run(*([] if args.seconds is None else [args.seconds]))
    finally:
        endpoint.close()
    return 0


def _updates() -> SmpServer:
    with _needing_smp():
        from hydroear_bridge.smp_server import SmpServer
    return SmpServer()


@contextlib.contextmanager
def _needing_smp() -> Iterator[None]:
    try:
        yield
    except ModuleNotFoundError:
        raise BridgeError("the package smpclient is missing; pip install 'hydroear[smp]'") from None


def _sounds(args: argparse.Namespace) -> list[Sound]:
    """What each sensor hears."""
    check_rate_and_seed(args.rate, args.seed)
    first, *others = noises(args.seed, args.sensors)
    return [first if args.sound is None else tape(wav.read(args.sound, args.rate)), *others]


def _night(number: int, file: Path | None, args: argparse.Namespace) -> StoredRecording:
    sound, length_s = None, NIGHT_S
    if file is not None:
        with _open(str(file), "rb") as opened:
            data = opened.read()
        if not data.startswith(b"RIFF"):
            return kept(number, data, first_utc_s=args.first_night)
        samples = wav.read(file, args.rate)
        sound, length_s = tape(samples), len(samples) / args.rate
    if args.night_seconds is not None:
        length_s = args.night_seconds
    return stored(number, args.rate, sound=sound, duration_s=length_s, first_utc_s=args.first_night)


def _utc_s(text: str) -> float:
    """A time, UTC unless it says otherwise, in seconds since 1970."""
    try:
        told = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no time; expected one as 2025-01-01T01:00:00Z") from None
    return (told if told.tzinfo else told.replace(tzinfo=UTC)).timestamp()


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
    if args.out == "-":
        _refuse_terminal()
    stream = simulate(
        duration_s=10.0 if args.seconds is None else args.seconds,
        rate_hz=args.rate,
        sound=_sounds(args)[0],
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


def _refuse_terminal() -> None:
    if sys.stdout.isatty():
        raise UsageError(
            "bytes would go to the terminal; name a file with --out, or pipe them to: hydroear-bridge sniff -"
        )


def _replay(args: argparse.Namespace) -> int:
    if args.speed is not None and not (args.at and 0 <= args.speed <= 1e6):
        raise UsageError(f"speed is {args.speed:g}, expected 0 to 1e+06, with --at")
    if args.at is None and args.out == "-":
        _refuse_terminal()
    link = Link(Faults.parse(args.faults, LINK_FAULTS), args.seed)
    with _mapped(args.file) as captured:
        if not any(piece.frame for piece in pieces(captured)):
            raise BridgeError(f"{args.file}: no frame in {len(captured)} bytes; expected those of a link")
        if args.at is None:
            with _open(args.out, "wb") as out:
                out.write(DELIMITER)
                for _, data in carried(pieces(captured), link):
                    out.write(data)
                out.flush()
            return 0
        endpoint = _endpoint(args.at)
        try:
            print(f"what was captured waits for a receiver at {endpoint.name}", file=sys.stderr)
            with contextlib.suppress(KeyboardInterrupt):
                play(carried(_watched(captured, args), link), endpoint, speed=1.0 if args.speed is None else args.speed)
        finally:
            endpoint.close()
    return 0


def _watched(captured: bytes | mmap.mmap, args: argparse.Namespace) -> Iterator[Piece]:
    """The pieces, with a progress bar."""
    from tqdm import tqdm

    with tqdm(total=len(captured), unit="B", unit_scale=True, disable=args.quiet) as progress:
        for piece in pieces(captured):
            progress.set_postfix_str(f"{piece.due_s:.0f} s", refresh=False)
            progress.update(piece.end - progress.n)
            yield piece


@contextlib.contextmanager
def _mapped(name: str) -> Iterator[bytes | mmap.mmap]:
    """The bytes of a file, however many."""
    with _open(name, "rb") as file:
        if not os.fstat(file.fileno()).st_size:
            yield file.read()  # there is no map of nothing, nor of a pipe
            return
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
            yield mapped


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
