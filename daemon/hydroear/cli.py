"""``hydroear``: the unit's verbs."""

from __future__ import annotations

import argparse
import json
import logging
import os
import re
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from hydroear import __version__
from hydroear.command import run_command
from hydroear.errors import ConfigError, HydroearError, UsageError

if TYPE_CHECKING:
    from hydroear.app.lesson import Learned


def main(argv: list[str] | None = None) -> int:
    """Run one verb.

    Returns
    -------
    int
        0 for success, 1 for a failure, 2 for a command or a configuration that cannot be.
    """
    # The matrices of a window are too small to share out: more threads take more memory and time, not less.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    return run_command("hydroear", lambda: _work(argv))


def _work(argv: list[str] | None) -> int:
    args = _parser().parse_args(argv)
    _start_log(verbose=args.verbose)
    code: int = args.func(args)
    return code


def _start_log(*, verbose: bool) -> None:
    """To the journal with fields, where standard error goes there; else in the form of all that is said on it."""
    from hydroear.service.journal import JournalHandler, stderr_is_journal
    from hydroear.service.ratelimit import RateLimit

    handler: logging.Handler
    if stderr_is_journal():
        handler, level = JournalHandler(), logging.INFO
        handler.setFormatter(logging.Formatter("%(message)s"))
    else:
        handler, level = logging.StreamHandler(), logging.WARNING
        for known in (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR, logging.CRITICAL):
            logging.addLevelName(known, logging.getLevelName(known).lower())
        handler.setFormatter(logging.Formatter("hydroear: %(levelname)s: %(message)s"))
    handler.addFilter(RateLimit())
    logging.basicConfig(level=logging.DEBUG if verbose else level, handlers=[handler])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="hydroear", description="Hear leaks in water mains.")
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("-v", "--verbose", action="store_true", help="log what happens to standard error")
    verbs = parser.add_subparsers(metavar="VERB", required=True)
    _add_run(verbs, common)
    _add_replay(verbs, common)
    _add_calibrate(verbs, common)
    _add_selftest(verbs, common)
    _add_support(verbs, common)
    _add_watch(verbs, common)
    _add_devices(verbs, common)
    _add_record(verbs, common)
    _add_model(verbs, common)
    _add_room(verbs, common)
    return parser


def _add_run(verbs: argparse._SubParsersAction[argparse.ArgumentParser], common: argparse.ArgumentParser) -> None:
    run = verbs.add_parser(
        "run", parents=[common], help="listen to the sensors of a configuration and tell the control room"
    )
    run.add_argument("-c", "--config", type=Path, required=True, metavar="FILE", help="configuration of the unit")
    run.add_argument(
        "--json", action="store_true", help="one JSON line a window and a change of state on standard output"
    )
    run.set_defaults(func=_run)


def _run(args: argparse.Namespace) -> int:
    from hydroear.app.display import JsonLines, Lines, nothing
    from hydroear.app.service import run_service
    from hydroear.codes import Code, coded
    from hydroear.service.journal import stderr_is_journal

    if not stderr_is_journal():
        return run_service(args.config, display=JsonLines(sys.stdout) if args.json else Lines(sys.stdout))
    try:
        return run_service(args.config, display=JsonLines(sys.stdout) if args.json else nothing)
    except HydroearError as error:
        code, problems = Code.UNIT_FAILED, [str(error)]
        if isinstance(error, ConfigError):
            code, problems = Code.CONFIG_BAD, error.problems
        for problem in problems:
            logging.getLogger(__name__).error("%s", problem, extra=coded(code))  # noqa: TRY400
        return error.exit_code


def _add_replay(verbs: argparse._SubParsersAction[argparse.ArgumentParser], common: argparse.ArgumentParser) -> None:
    replay = verbs.add_parser(
        "replay",
        parents=[common],
        help="play recordings through the daemon's own path",
        description="Play recordings through the daemon's own path, each as a sensor of its own.",
    )
    replay.add_argument("files", nargs="+", type=Path, metavar="FILE", help="WAV; FLAC and others with hydroear[train]")
    replay.add_argument("--bundle", type=Path, required=True, metavar="B", help="the model bundle to score with")
    replay.add_argument("--site", type=Path, metavar="FILE", help="calibration made by 'hydroear calibrate'")
    replay.add_argument("--speed", type=float, default=0.0, metavar="N", help="times real time; 0 (default): no pause")
    replay.add_argument(
        "--json", action="store_true", help="one JSON line a window and a change of state, then a summary"
    )
    replay.add_argument("--mqtt", metavar="URL", help="publish states and events, mqtt://HOST[:PORT] or mqtts://")
    replay.add_argument(
        "--mqtt-protocol",
        choices=["auto", "5", "3.1.1"],
        default="auto",
        help="MQTT version; auto is 5, and 3.1.1 where that is not spoken (default auto)",
    )
    replay.add_argument("--unit", default="replay", metavar="NAME", help="name of the unit in topics (default replay)")
    replay.add_argument(
        "--state-dir",
        type=Path,
        default=_state_home() / "hydroear" / "replay",
        metavar="DIR",
        help="where messages wait that the broker did not take (default %(default)s)",
    )
    replay.add_argument(
        "--decision",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="a setting of the configuration's decision section, such as horizon_s=20; may be repeated",
    )
    _add_hearing(replay)
    replay.set_defaults(func=_replay)


def _replay(args: argparse.Namespace) -> int:
    from hydroear.app.display import JsonLines, Lines
    from hydroear.app.replay import replay
    from hydroear.config import schema
    from hydroear.config.loader import load_section

    if not re.fullmatch(schema.NAME_PATTERN, args.unit):
        raise UsageError(f"bad name {args.unit!r}", where="--unit", expected=schema.NAME_EXPECTED)
    decision = load_section(schema.Decision, _pairs(args.decision), "--decision")
    mqtt = None
    if args.mqtt is not None:
        mqtt = load_section(schema.Mqtt, {"url": args.mqtt, "protocol": args.mqtt_protocol}, "--mqtt")
    display = JsonLines(sys.stdout) if args.json else Lines(sys.stdout)
    summaries = replay(
        args.files,
        bundle_path=args.bundle,
        site_path=args.site,
        runtime=args.runtime,
        decision=decision,
        channel=args.channel,
        reference_channel=args.reference_channel,
        speed=args.speed,
        mqtt=mqtt,
        unit=args.unit,
        state_dir=args.state_dir,
        publish=schema.Publish(),
        display=display,
    )
    if isinstance(display, Lines):
        display.close()
        _print_summaries([asdict(summary) for summary in summaries])
    else:
        for summary in summaries:
            print(json.dumps({"kind": "summary", **asdict(summary)}))
    return _exit_code([asdict(summary) for summary in summaries])


def _print_summaries(summaries: list[dict[str, object]]) -> None:
    print(f"\n{'recording':<36} {'scored':>6} {'skipped':>7} {'median':>7} {'highest':>7}  events at")
    for row in summaries:
        median, highest = (
            "-" if row[key] is None else f"{row[key]:.1f}" for key in ("median_decades", "highest_decades")
        )
        events = row["events"]
        assert isinstance(events, tuple)
        times = ", ".join(f"{at_s:.1f} s" for at_s in events) or "none"
        print(
            f"{row['sensor']:<36} {row['windows_scored']:>6} {row['windows_skipped']:>7} "
            f"{median:>7} {highest:>7}  {times}"
        )


def _exit_code(summaries: list[dict[str, object]]) -> int:
    """A recording in which nothing could be heard is a failure: silence must not pass for a quiet pipe."""
    code = 0
    for row in summaries:
        if not row["windows_scored"]:
            print(
                f"hydroear: error: {row['sensor']}: no window could be scored, the audio stands still or is lost; "
                "expected the sound of a pipe; check the sensor and its cable",
                file=sys.stderr,
            )
            code = 1
        elif row["clipped"]:
            print(
                f"hydroear: warning: {row['sensor']}: {row['clipped']} windows are clipped; lower the gain",
                file=sys.stderr,
            )
    return code


def _add_calibrate(verbs: argparse._SubParsersAction[argparse.ArgumentParser], common: argparse.ArgumentParser) -> None:
    calibrate = verbs.add_parser(
        "calibrate",
        parents=[common],
        help="learn what a site sounds like when it is well",
        description="Learn what a site sounds like when it is well: from recordings of it (FILE … --bundle --out), or "
        "live from a sensor of a unit that does not run meanwhile (-c --sensor, and --for or --nights). A site that "
        "changes while it is learned, or that sounds like a leak already, is refused.",
    )
    calibrate.add_argument(
        "files", nargs="*", type=Path, metavar="FILE", help="recordings of one sensor, no leak in them"
    )
    calibrate.add_argument("--bundle", type=Path, metavar="B", help="with files: the bundle the sensor will use")
    calibrate.add_argument("--out", type=Path, metavar="FILE", help="with files: where to write the calibration")
    calibrate.add_argument("--from-s", type=float, metavar="S", help="learn from here on in every file")
    calibrate.add_argument("--to-s", type=float, metavar="S", help="learn up to here in every file")
    calibrate.add_argument("-c", "--config", type=Path, metavar="FILE", help="live: configuration of the unit")
    calibrate.add_argument("--sensor", metavar="ID", help="live: which sensor of the configuration")
    calibrate.add_argument("--for", dest="duration", metavar="TIME", help="live: how much to hear, such as 24h")
    calibrate.add_argument(
        "--nights", type=int, metavar="N", help="live: hear the night hours of the configuration alone, N times"
    )
    calibrate.add_argument(
        "--model",
        choices=["active", "candidate"],
        help="live: for the bundle that the unit runs (default), or for one that waits to be activated",
    )
    calibrate.add_argument(
        "--accept-anyway", action="store_true", help="learn a site that is refused; the calibration says so"
    )
    calibrate.add_argument("--json", action="store_true", help="print what was learned as JSON")
    _add_hearing(calibrate)
    calibrate.set_defaults(func=_calibrate, channel=None, runtime=None)


def _calibrate(args: argparse.Namespace) -> int:
    from hydroear.app.lesson import in_words
    from hydroear.score.floor import MIN_STRETCHES, STRETCH_MINUTES

    learned, out = _calibrate_on_files(args) if args.files else _calibrate_live(args)
    site = learned.site
    if args.json:
        print(
            json.dumps(
                {
                    "out": str(out),
                    "windows": site.windows,
                    "left_out": learned.left_out,
                    "conditions": round(site.fused.conditions, 1),
                    "level_db": round(site.level_db, 1),
                    "knows_floor": site.floor is not None,
                    "bundle": site.bundle_sha256,
                    "accepted": site.accepted,
                }
            )
        )
    else:
        print(
            f"{out}: learned from {site.windows} windows under {site.fused.conditions:.0f} operating "
            f"condition{'' if site.fused.conditions < 1.5 else 's'}, mean level {site.level_db:.1f} dBFS"
        )
        if site.floor is None:
            hours = MIN_STRETCHES * STRETCH_MINUTES / 60.0
            print(f"the noise floor is not known: it takes {hours:g} hours, and hears leaks that no window shows")
        if learned.left_out:
            print(f"left out, because a unit would not score them: {in_words(learned.left_out)}")
    for objection in site.accepted:
        print(f"hydroear: warning: accepted although {objection}", file=sys.stderr)
    return 0


def _calibrate_on_files(args: argparse.Namespace) -> tuple[Learned, Path]:
    from hydroear.app.calibrate import calibrate_on_recordings
    from hydroear.progress import Progress

    _only_with(
        "recordings", needed=("bundle", "out"), foreign=("config", "sensor", "duration", "nights", "model"), args=args
    )
    learned = calibrate_on_recordings(
        args.files,
        bundle_path=args.bundle,
        runtime=args.runtime or "auto",
        channel=1 if args.channel is None else args.channel,
        reference_channel=args.reference_channel,
        from_s=args.from_s or 0.0,
        to_s=args.to_s,
        accept_anyway=args.accept_anyway,
        progress=Progress(sys.stderr),
    )
    learned.site.save(args.out)
    return learned, args.out


def _calibrate_live(args: argparse.Namespace) -> tuple[Learned, Path]:
    from hydroear.app.calibrate import LiveCalibration
    from hydroear.app.duration import parse_duration
    from hydroear.app.lesson import Goal
    from hydroear.app.unit import install_stop
    from hydroear.config.loader import load_config
    from hydroear.progress import Progress

    if args.config is None:
        raise UsageError(
            "nothing to learn from",
            where="calibrate",
            expected="recordings, or a sensor of a unit (--config, --sensor)",
            fix="see hydroear calibrate --help",
        )
    of_files = ("bundle", "out", "from_s", "to_s", "channel", "reference_channel", "runtime")
    _only_with("a unit", needed=("config", "sensor"), foreign=of_files, args=args)
    if (args.duration is None) == (args.nights is None):
        raise UsageError("how long?", where="calibrate", expected="either --for TIME or --nights N")
    if args.nights is not None and args.nights < 1:
        raise UsageError(f"{args.nights} nights", where="--nights", expected="1 or more")
    heard_s = None if args.duration is None else parse_duration(args.duration)
    config = load_config(args.config)
    goal = Goal(heard_s=heard_s, nights=args.nights)
    live = LiveCalibration(config, args.sensor, goal, candidate=args.model == "candidate")
    install_stop(live.stop)
    return live.run(accept_anyway=args.accept_anyway, progress=Progress(sys.stderr)), live.out


def _only_with(what: str, *, needed: tuple[str, ...], foreign: tuple[str, ...], args: argparse.Namespace) -> None:
    """Refuse a command that lacks an option, or has one of the other way to calibrate."""
    for names, wrong, how in ((needed, True, "needs"), (foreign, False, "takes no")):
        for name in names:
            if (getattr(args, name) is None) is wrong:
                option = "--for" if name == "duration" else f"--{name.replace('_', '-')}"
                raise UsageError(
                    f"a calibration on {what} {how} {option}", where="calibrate", fix="see hydroear calibrate --help"
                )


def _add_selftest(verbs: argparse._SubParsersAction[argparse.ArgumentParser], common: argparse.ArgumentParser) -> None:
    selftest = verbs.add_parser("selftest", parents=[common], help="tell whether the unit or the world is wrong")
    selftest.add_argument("-c", "--config", type=Path, required=True, metavar="FILE", help="configuration of the unit")
    selftest.add_argument("--sensor", metavar="ID", help="listen to this sensor only")
    selftest.add_argument("--tap", action="store_true", help="ask for a knock on the pipe, and hear it")
    selftest.add_argument("--json", action="store_true", help="the result as JSON")
    selftest.set_defaults(func=_selftest)


def _selftest(args: argparse.Namespace) -> int:
    from hydroear.selftest.cli import run

    return run(args.config, machine_readable=args.json, sensor=args.sensor, tap=args.tap)


def _add_support(verbs: argparse._SubParsersAction[argparse.ArgumentParser], common: argparse.ArgumentParser) -> None:
    support = verbs.add_parser(
        "support",
        parents=[common],
        help="gather what somebody far away needs to understand the unit, without secrets",
        description="Gather logs, the configuration, the self-test, the health and the versions of a unit, without "
        "passwords and keys, into one archive. What cannot be had is named in its index.",
    )
    support.add_argument(
        "-c",
        "--config",
        type=Path,
        default=Path("/etc/hydroear/config.yaml"),
        metavar="FILE",
        help="configuration of the unit (default %(default)s)",
    )
    support.add_argument(
        "--out", type=Path, metavar="FILE", help="the archive (default ./hydroear-support-UNIT-TIME.tar.gz)"
    )
    support.add_argument("--json", action="store_true", help="tell as JSON what is in it")
    support.set_defaults(func=_support)


def _support(args: argparse.Namespace) -> int:
    from hydroear.app.support import run

    return run(args.config, out=args.out, machine_readable=args.json)


def _add_watch(verbs: argparse._SubParsersAction[argparse.ArgumentParser], common: argparse.ArgumentParser) -> None:
    watch = verbs.add_parser("watch", parents=[common], help="look at a running unit: states, levels and scores, live")
    watch.add_argument("-c", "--config", type=Path, required=True, metavar="FILE", help="configuration of the unit")
    watch.add_argument("--json", action="store_true", help="one JSON line a window and a change of state")
    watch.set_defaults(func=_watch)


def _watch(args: argparse.Namespace) -> int:
    from hydroear.app.live import listen
    from hydroear.app.watch import watch
    from hydroear.config.loader import load_config

    watch(listen(load_config(args.config).live_path), sys.stdout, as_json=args.json)
    return 0


def _add_devices(verbs: argparse._SubParsersAction[argparse.ArgumentParser], common: argparse.ArgumentParser) -> None:
    devices = verbs.add_parser("devices", parents=[common], help="list what can be heard, by the names a sensor takes")
    devices.add_argument("--json", action="store_true", help="the list as JSON")
    devices.set_defaults(func=_devices)


def _devices(args: argparse.Namespace) -> int:
    from hydroear.app.devices import show_devices

    show_devices(sys.stdout, as_json=args.json)
    return 0


def _add_record(verbs: argparse._SubParsersAction[argparse.ArgumentParser], common: argparse.ArgumentParser) -> None:
    record = verbs.add_parser(
        "record", parents=[common], help="record a sensor into a labelled corpus for hydroear-train"
    )
    record.add_argument("-c", "--config", type=Path, required=True, metavar="FILE", help="configuration of the unit")
    record.add_argument("--sensor", required=True, metavar="ID", help="which of its sensors")
    record.add_argument("--for", dest="duration", required=True, metavar="TIME", help="how long, e.g. 90s, 10m or 24h")
    record.add_argument("--label", choices=["normal", "leak"], required=True, help="what the pipe sounds like")
    record.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of the corpus")
    record.add_argument("--json", action="store_true", help="print what was recorded as JSON")
    record.set_defaults(func=_record)


def _record(args: argparse.Namespace) -> int:
    import signal

    from hydroear.app.duration import parse_duration
    from hydroear.app.record import Meter, record
    from hydroear.config.loader import load_config

    for_s = parse_duration(args.duration)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    session = record(
        load_config(args.config),
        args.sensor,
        for_s=for_s,
        label=args.label,
        out=args.out,
        meter=Meter(sys.stderr, for_s),
    )
    if args.json:
        print(json.dumps({"out": str(args.out), **asdict(session)}))
    else:
        print(
            f"{args.out}: {session.heard_s:.1f} s of {args.label} in {len(session.files)} recording(s), "
            f"{session.lost_s:.1f} s lost in {len(session.gaps)} gap(s), {session.clipped} samples clipped"
            f"{'' if session.unit is None else f', full scale {session.full_scale:g} {session.unit}'}"
        )
    return 0


def _add_model(verbs: argparse._SubParsersAction[argparse.ArgumentParser], common: argparse.ArgumentParser) -> None:
    model = verbs.add_parser("model", help="install another bundle on a unit, and go back from it")
    actions = model.add_subparsers(metavar="ACTION", required=True)
    of_unit = argparse.ArgumentParser(add_help=False, parents=[common])
    of_unit.add_argument("-c", "--config", type=Path, required=True, metavar="FILE", help="configuration of the unit")
    install = actions.add_parser(
        "install",
        parents=[of_unit],
        help="install a bundle, which the unit first compares with the one at work",
    )
    install.add_argument("file", type=Path, metavar="FILE", help="the bundle")
    install.add_argument(
        "--without-calibration",
        action="store_true",
        help="activate it for sensors too that are not calibrated for it; they are scored against the trainer's pipes",
    )
    install.set_defaults(func=_model_install)
    status = actions.add_parser("status", parents=[of_unit], help="what is installed, and what runs")
    status.add_argument("--json", action="store_true", help="the same as JSON")
    status.set_defaults(func=_model_status)
    confirm = actions.add_parser("confirm", parents=[of_unit], help="confirm the bundle on probation before its time")
    confirm.set_defaults(func=_model_confirm)
    rollback = actions.add_parser(
        "rollback", parents=[of_unit], help="withdraw the bundle that waits, or go back from the one that runs"
    )
    rollback.set_defaults(func=_model_rollback)


def _model_install(args: argparse.Namespace) -> int:
    from hydroear.app.models import install
    from hydroear.config.loader import load_config

    config = load_config(args.config)
    outcome = install(config, args.file, without_calibration=args.without_calibration)
    what = "installed" if outcome.new else "is installed already"
    print(f"{outcome.installed.name}, sha256 {outcome.installed.sha256[:12]}: {what}")
    for sensor in outcome.waits_for:
        print(f"it waits for: hydroear calibrate -c {args.config} --model candidate --sensor {sensor} --for 24h")
    if outcome.new:
        if config.models.shadow_windows:
            print("the unit scores it beside the model at work first: see hydroear model status")
        print("the next start of the unit that finds nothing to wait for tries it out")
    return 0


def _model_status(args: argparse.Namespace) -> int:
    from hydroear.app.models import in_words, status
    from hydroear.config.loader import load_config

    told = status(load_config(args.config))
    print(json.dumps(told) if args.json else in_words(told))
    return 0


def _model_confirm(args: argparse.Namespace) -> int:
    from hydroear.app.models import confirm
    from hydroear.config.loader import load_config

    print(f"{confirm(load_config(args.config)).name}: confirmed")
    return 0


def _model_rollback(args: argparse.Namespace) -> int:
    from hydroear.app.models import roll_back
    from hydroear.config.loader import load_config

    print(f"{roll_back(load_config(args.config)).name}: rolled back; a unit that runs it does so until it is restarted")
    return 0


def _add_room(verbs: argparse._SubParsersAction[argparse.ArgumentParser], common: argparse.ArgumentParser) -> None:
    room = verbs.add_parser(
        "room",
        parents=[common],
        help="the control room: see all units of a broker, live",
        description="See all units that tell a broker, the worst first, with the evidence of each leak. Exit code of "
        "--once: 0 if nobody has to do anything; 1 if somebody has to (a leak that nobody has taken on, a unit or "
        "sensor that is deaf, offline, silent or unwell), or no unit has ever said anything.",
    )
    _add_room_options(room, default=None)
    room.add_argument("--once", action="store_true", help="print what is known now, and end")
    room.add_argument("--json", action="store_true", help="one JSON line for everything new; with --once, a snapshot")
    room.set_defaults(func=_room)
    actions = room.add_subparsers(metavar="ACTION")
    ask = actions.add_parser(
        "ask",
        parents=[common],
        help="ask one unit something, and wait for its reply",
        description="Ask one unit something, and print its reply. The verbs and their fields are in "
        "daemon/docs/topics.md; a field's name may be cut short. Exit code: 0 done; 1 refused, failed or no broker; "
        "2 a request that cannot be; 3 no reply.",
    )
    # The same options may stand before the action: what is not given here must not overwrite them.
    _add_room_options(ask, default=argparse.SUPPRESS)
    ask.add_argument("unit", metavar="UNIT", help="which unit")
    ask.add_argument("verb", metavar="VERB", help="what: ping, ack, mute, clip, selftest, …")
    ask.add_argument("fields", nargs="*", metavar="KEY=VALUE", help="fields of the request")
    ask.add_argument("--timeout", type=float, default=65.0, metavar="S", help="how long to wait (default 65)")
    ask.add_argument("--out", type=Path, metavar="FILE", help="with clip: fetch the sound into a file")
    ask.add_argument("--file", type=Path, metavar="BUNDLE", help="with model-install: send this bundle first")
    ask.add_argument("--json", action="store_true", help="the reply as JSON")
    ask.set_defaults(func=_room_ask)


def _add_room_options(parser: argparse.ArgumentParser, *, default: object) -> None:
    parser.add_argument(
        "-c", "--config", type=Path, default=default, metavar="FILE", help="settings, see systemd/room.example.yaml"
    )
    parser.add_argument(
        "--mqtt", default=default, metavar="URL", help="instead: a broker that wants no login, mqtt://HOST[:PORT]"
    )
    parser.add_argument(
        "--key", type=Path, default=default, metavar="FILE", help="private key that signs what is asked"
    )
    parser.add_argument("--by", default=default, metavar="NAME", help="who asks (default the user of this machine)")


def _room(args: argparse.Namespace) -> int:
    from hydroear.room import cli as room

    settings = room.load_settings(args.config, args.mqtt, args.key)
    if args.once:
        return room.look_once(settings, as_json=args.json, out=sys.stdout)
    return room.stream(settings, sys.stdout) if args.json else room.watch(settings, by=args.by)


def _room_ask(args: argparse.Namespace) -> int:
    from hydroear.room import cli as room

    return room.ask(
        room.load_settings(args.config, args.mqtt, args.key),
        args.unit,
        args.verb,
        args.fields,
        by=args.by,
        timeout_s=args.timeout,
        clip_out=args.out,
        bundle=args.file,
        as_json=args.json,
        out=sys.stdout,
    )


def _add_hearing(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--channel", type=int, default=1, metavar="N", help="channel to hear, counted from 1 (default 1)"
    )
    parser.add_argument(
        "--reference-channel", type=int, metavar="N", help="channel of a microphone in the air; vetoes airborne sounds"
    )
    parser.add_argument(
        "--runtime", choices=["auto", "tflite-runtime", "litert"], default="auto", help="interpreter (default auto)"
    )


def _pairs(texts: list[str]) -> dict[str, str]:
    pairs = {}
    for text in texts:
        key, sign, value = text.partition("=")
        if not sign:
            raise UsageError(f"{text!r} has no value", where="--decision", expected="KEY=VALUE")
        pairs[key.strip()] = value.strip()
    return pairs


def _state_home() -> Path:
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")


if __name__ == "__main__":
    sys.exit(main())
