"""A unit at work: its sensors, its outbox and its link, started in order and stopped in reverse."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

from hydroear.app import models
from hydroear.app.alarms import AlarmReporter
from hydroear.app.birth import birth_of, sensor_birth
from hydroear.app.candidates import Candidates
from hydroear.app.desk import Desk
from hydroear.app.display import Display
from hydroear.app.follower import Follower
from hydroear.app.health import health_of
from hydroear.app.live import LiveFeed
from hydroear.app.moment import moment_of, moment_of_report
from hydroear.app.night import SAVE_EVERY_S as NIGHT_SAVE_EVERY_S
from hydroear.app.night import NoiseLogger, night_message
from hydroear.app.orders import Orders
from hydroear.app.pipeline import Pipeline, Report
from hydroear.app.probation import start_model
from hydroear.app.reporter import Reporter
from hydroear.app.standing import standing
from hydroear.app.tutor import Tutor
from hydroear.app.zone import night_hours
from hydroear.audio import Block, Gap
from hydroear.capture import Lines, Source, open_source
from hydroear.codes import Code, coded, current_sensor
from hydroear.config import schema
from hydroear.decide import OpenEvent, State
from hydroear.errors import AudioError, CaptureError, OutboxError
from hydroear.evidence import EvidenceStore, Hearing, Normal, Recorder, Writer
from hydroear.health import Cause
from hydroear.health.clock import clock_quality
from hydroear.message import Kind, Message
from hydroear.model import Bundle, Runtime, choose_runtime
from hydroear.model.signature import PublicKey
from hydroear.mqtt import homeassistant, payloads, topics
from hydroear.mqtt.stamper import stamper
from hydroear.outbox import Outbox
from hydroear.score import Scorer, SiteCalibration, SiteScorer
from hydroear.service.notify import Notifier

if TYPE_CHECKING:
    from hydroear.mqtt.link import Link, Listener

log = logging.getLogger(__name__)

STOP_S = 4.0
"""How long a unit takes to stop: its sensors, its evidence and its queue have this together."""

WRITE_S = 2.0
"""How long a stopping unit waits for the evidence of its last events to be on the disk."""

MIN_DRAIN_S = 0.5
"""How long a stopping unit waits at least for the broker to take what is queued."""

STANDING_EVERY_S = 1.0
"""How often a unit looks whether its line of status has changed."""

SELFTEST_AFTER_S = 5.0
"""A unit that has just started hears first, and examines itself then."""

REMINDER_S = 3600.0
"""How often, in the stream, one thing that is wrong with a sensor is complained of."""

_LATENCIES = 1000


@dataclass
class Ear:
    """One sensor at work; no follower where the site is not calibrated, no recorder where no evidence is kept."""

    sensor: str
    source: Source
    pipeline: Pipeline
    reporter: Reporter
    night: NoiseLogger
    follower: Follower | None
    recorder: Recorder | None
    tutor: Tutor
    latencies_ms: deque[float] = field(default_factory=lambda: deque(maxlen=_LATENCIES))
    complained_s: dict[Cause, float] = field(default_factory=dict)
    mutex: threading.Lock = field(default_factory=threading.Lock)


def load_site(path: Path, *, required: bool) -> SiteCalibration | None:
    """The calibration of a sensor; None where there is none and none is required."""
    if not required and not path.exists():
        return None
    return SiteCalibration.load(path)


class Heartbeat:
    """Feeds the watchdog once every sensor has been heard, or has honestly said that it cannot be.

    Parameters
    ----------
    notifier
        The way to the service manager.
    sensors
        The sensors that must be heard.
    describe
        How the unit is doing, in one line.
    """

    def __init__(self, notifier: Notifier, sensors: Sequence[str], describe: Callable[[], str]) -> None:
        self._notifier, self._sensors, self._describe = notifier, set(sensors), describe
        self._waiting = set(sensors)
        self._mutex = threading.Lock()
        self._ready = False

    def beat(self, sensor: str) -> None:
        """A window of the sensor was judged, or its fault was named."""
        with self._mutex:
            self._waiting.discard(sensor)
            if self._waiting:
                return
            self._waiting = set(self._sensors)
            if not self._ready:
                self._ready = True
                self._notifier.ready(self._describe())
            self._notifier.watchdog()

    def leave(self, sensor: str) -> None:
        """The sensor's source has ended; nobody waits for it any more."""
        with self._mutex:
            self._sensors.discard(sensor)
            self._waiting.discard(sensor)


class Unit:
    """Everything a configuration asks for, wired together.

    Parameters
    ----------
    config
        The unit.
    display
        Is told of every report, from the thread of its sensor.
    notifier
        The way to the service manager.

    Attributes
    ----------
    notice
        What the line of status says besides, from the outside.

    Raises
    ------
    HydroearError
        If a part cannot start: the bundle, a calibration, a recording, the outbox or the broker's settings.
    """

    def __init__(self, config: schema.Config, *, display: Display, notifier: Notifier) -> None:
        self._config, self._display, self._notifier = config, display, notifier
        self._stopping = threading.Event()
        # Ears that compute at the same time spend half as much again on taking the interpreter from each other.
        self._turn = threading.Lock()
        self._stop_requests: SimpleQueue[None] = SimpleQueue()
        self._broken: BaseException | None = None
        self._deaf = False
        self.notice = ""
        self._parts = ExitStack()
        self._started_s = time.monotonic()
        try:
            self._build()
        except BaseException:
            self._parts.close()
            raise

    def _build(self) -> None:
        config = self._config
        runtime = choose_runtime(config.runtime)
        self._outbox = self._parts.enter_context(Outbox(config.outbox_path))
        self._model = start_model(config, runtime)  # counts a start, so only where no other unit owns the state
        self._bundle = self._model.bundle
        self._stamp = stamper(config.unit, self._bundle.sha256)
        sources = {sensor.id: sensor.source for sensor in config.sensors}
        self._places = {
            sensor: (source.port, source.sensor)
            for sensor, source in sources.items()
            if isinstance(source, schema.BridgeSource | schema.LoggerSource)
        }
        self._alarms = AlarmReporter(self._places, unit=config.unit, outbox=self._outbox, stamp=self._stamp)
        self._store, self._writer = None, None
        if config.evidence.enabled:
            self._store = EvidenceStore(config.evidence_dir, config.evidence)
            self._writer = Writer(self._store, config.evidence)
            self._parts.callback(self._writer.close, 0.0)
        self._lines = Lines()
        self._ears = [self._ear(sensor, self._bundle, runtime) for sensor in config.sensors]
        self._candidates = Candidates(config, runtime=runtime, ears=self._ears, tell=self._tell_model)
        self._feed = self._open_feed()
        self._heartbeat = Heartbeat(self._notifier, [ear.sensor for ear in self._ears], self._standing)
        self._runtime = runtime
        self._orders = Orders(
            config,
            self._ears,
            outbox=self._outbox,
            stamp=self._stamp,
            examine=self._examine,
            announce=self._announce,
            stop=self.stop,
        )
        keys = [] if config.mqtt is None else config.mqtt.command_keys
        self._desk = Desk(
            config.unit,
            self._orders.handlers,
            outbox=self._outbox,
            stamp=self._stamp,
            trusted=[PublicKey.load(key) for key in keys],
        )
        self._link = self._make_link() if config.mqtt is not None else None
        if config.metrics.port is not None:
            self._serve_metrics(config.metrics.port)

    def _open_feed(self) -> LiveFeed | None:
        try:
            feed = LiveFeed(self._config.live_path)
        except OSError as error:
            log.warning("%s: nobody can watch: %s", self._config.live_path, error, extra=coded(Code.LOCAL_VIEW_OFF))
            return None
        self._parts.callback(feed.close)
        return feed

    def _serve_metrics(self, port: int) -> None:
        from hydroear.service.metrics import MetricsServer  # and with it http.server, for those who ask

        try:
            server = MetricsServer(port, lambda: json.loads(payloads.encode(self._health(), self._stamp(0))))
        except OSError as error:
            log.warning(
                "metrics.port %d: nobody is answered: %s", port, error.strerror, extra=coded(Code.LOCAL_VIEW_OFF)
            )
            return
        self._parts.callback(server.close)

    def _ear(self, sensor: schema.Sensor, bundle: Bundle, runtime: Runtime) -> Ear:
        config = self._config
        model = self._model.model
        site = load_site(config.site_path(sensor, model), required=sensor.site is not None and not model)
        follower = None
        if site is not None:
            follower = Follower(
                config.adaptation_path(sensor, model),
                site,
                clear_decades=config.decision.clear_level,
                hop_s=bundle.front_end.window_hop_s,
            )
        adaptation = follower.adaptation if follower is not None else None
        scorer = SiteScorer(Scorer(bundle, runtime), site, adaptation=adaptation)
        reporter = Reporter(
            unit=config.unit,
            sensor=sensor.id,
            outbox=self._outbox,
            stamp=self._stamp,
            decision=config.decision,
            state_every_s=config.publish.state_every_s,
            update_every_s=config.publish.event_update_every_s,
        )
        source = open_source(sensor.source, self._lines, recordings=config.recordings_dir(sensor))
        self._parts.callback(source.close)
        pipeline = Pipeline(
            sensor.id,
            rate_hz=source.rate_hz,
            spec=bundle.front_end,
            scorer=scorer,
            decision=config.decision,
            leaking=reporter.event is not None,
            acknowledged=reporter.event is not None and reporter.event.acknowledged,
            reference=sensor.source.reference_channel is not None,
        )
        hours, hop_s = night_hours(config.night), bundle.front_end.window_hop_s
        # A recording that was not heard to its end is heard again, and must not count twice.
        every_s = inf if isinstance(sensor.source, schema.LoggerSource) else NIGHT_SAVE_EVERY_S
        night = NoiseLogger(config.night_path(sensor), hours, window_hop_s=hop_s, save_every_s=every_s)
        recorder = self._recorder(sensor.id, source.rate_hz, site, reporter.event)
        tutor = Tutor(
            config,
            sensor,
            bundle=bundle,
            model=model,
            runtime=runtime,
            rate_hz=source.rate_hz,
            name=source.name,
            tell=self._tell_calibration,
        )
        tutor.resume()
        return Ear(sensor.id, source, pipeline, reporter, night, follower, recorder, tutor)

    def _tell_calibration(self, standing: payloads.Calibration) -> None:
        topic = topics.calibration(self._config.unit, standing.sensor)
        message = Message(topic, payloads.encode(standing, self._stamp(0)), Kind.STATE, retain=True)
        with suppress(OutboxError):  # hearing goes on
            self._outbox.put(message)

    def _tell_model(self, model: payloads.Model) -> None:
        message = Message(
            topics.model(self._config.unit), payloads.encode(model, self._stamp(0)), Kind.STATE, retain=True
        )
        with suppress(OutboxError):  # hearing goes on
            self._outbox.put(message)

    def _recorder(
        self, sensor: str, rate_hz: int, site: SiteCalibration | None, event: OpenEvent | None
    ) -> Recorder | None:
        if self._writer is None:
            return None
        config, bundle = self._config, self._bundle
        if site is None:
            normal = Normal(band_db=bundle.band_mean, level_db=None)
        else:
            normal = Normal(band_db=site.band_mean, level_db=site.level_db)
        return Recorder(
            unit=config.unit,
            sensor=sensor,
            rate_hz=rate_hz,
            spec=bundle.front_end,
            bundle_sha256=bundle.sha256,
            normal=normal,
            raise_decades=config.decision.raise_level,
            settings=config.evidence,
            writer=self._writer,
            event_id=None if event is None else event.event_id,
        )

    def _make_link(self) -> Link:
        from hydroear.mqtt.link import Link  # and with it paho, for those who have a broker

        assert self._config.mqtt is not None
        return Link(
            self._config.mqtt,
            unit=self._config.unit,
            outbox=self._outbox,
            birth=self._birth,
            status=self._status,
            subscriptions={topics.command(self._config.unit, "+"): self._desk.take, **self._home_assistant()},
        )

    def _home_assistant(self) -> dict[str, Listener]:
        """Make this unit known to Home Assistant, where there is one, now and whenever that begins anew."""
        mqtt = self._config.mqtt
        if mqtt is None or mqtt.home_assistant is None:
            return {}
        sensors = [sensor.id for sensor in self._config.sensors]
        discovery = homeassistant.discovery_message(
            mqtt.home_assistant, unit=self._config.unit, sensors=sensors, devices=self._places
        )
        self._outbox.put(discovery)

        def hear(_topic: str, payload: bytes, _retained: bool) -> None:
            if payload == b"online":
                with suppress(OutboxError):  # the link must go on
                    self._outbox.put(discovery)

        return {homeassistant.STATUS_TOPIC: hear}

    def run(self, attend: Callable[[], bool] = lambda: False) -> bool:
        """Listen until every source has ended or :meth:`stop` is called; then deliver what can be delivered.

        Parameters
        ----------
        attend
            Is called every now and then, to attend to other things; gives whether this unit shall end for another one
            to take its place at once.

        Returns
        -------
        bool
            Whether every sensor was heard to its end. A recording that fails is logged, and the others go on; a
            live sensor that is given up ends the unit, because only a new start tries it again.

        Raises
        ------
        HydroearError
            If the outbox or the display fails: what cannot be told need not be heard.
        """
        threads = [threading.Thread(target=self._listen, args=(ear,), name=ear.sensor) for ear in self._ears]
        if self._link is not None:
            self._link.start()
        for thread in threads:
            thread.start()
        self.examine(after_s=SELFTEST_AFTER_S)
        try:
            health_s = standing_s = time.monotonic()
            told, seq, leaving, alarms = "", 0, False, self._alarms.open
            while any(thread.is_alive() for thread in threads) and not self._asked_to_stop(within_s=0.2):
                if leaving := attend():
                    break
                if time.monotonic() >= standing_s:
                    standing_s += STANDING_EVERY_S
                    if (now := self._standing()) != told:
                        self._notifier.status(told := now)
                self._hear_devices()
                due, before, alarms = time.monotonic() >= health_s, alarms, self._alarms.open
                if due or alarms != before:
                    health_s += self._config.publish.health_every_s if due else 0.0
                    health = payloads.encode(self._health(), self._stamp(seq))
                    self._outbox.put(Message(topics.health(self._config.unit), health, Kind.HEALTH, retain=True))
                    seq += 1
                self._candidates.look()
        finally:
            if not leaving:
                self._notifier.stopping()
            self._shut_down(threads)
        if self._broken is not None:
            raise self._broken
        return not self._deaf

    def stop(self) -> None:
        """End :meth:`run` soon; may be called from a signal handler."""
        # Unlike an Event, whose lock the interrupted code may hold, this queue lets its own thread in again.
        self._stop_requests.put(None)

    def examine(self, *, after_s: float = 0.0) -> None:
        """Examine the unit beside the hearing, after a while, and tell the control room what was found."""
        threading.Thread(target=self._test_itself, args=(after_s,), name="selftest", daemon=True).start()

    def _asked_to_stop(self, *, within_s: float) -> bool:
        try:
            self._stop_requests.get(timeout=within_s)
        except Empty:
            return False
        return True

    def _shut_down(self, threads: Sequence[threading.Thread]) -> None:
        deadline_s = time.monotonic() + STOP_S
        self._stopping.set()
        for ear in self._ears:
            ear.source.close()
        for thread in threads:
            thread.join()
        with suppress(OutboxError):  # the first one to fail has been told
            self._hear_devices()
        for ear in self._ears:
            if ear.recorder is not None:
                ear.recorder.close()
            if ear.follower is not None:
                ear.follower.save()
            ear.night.save()
            ear.tutor.close()
        self._candidates.close()
        if self._writer is not None and not self._writer.close(WRITE_S):
            log.warning(
                "the evidence of the last events could not be written in %g s; the disk is too slow or full",
                WRITE_S,
                extra=coded(Code.EVIDENCE_LOST),
            )
        if self._link is not None:
            self._drain(self._link, deadline_s)
        self._parts.close()

    def _drain(self, link: Link, deadline_s: float) -> None:
        from hydroear.mqtt.broker import HANG_UP_S

        if not link.stop(max(MIN_DRAIN_S, deadline_s - HANG_UP_S - time.monotonic())):
            log.warning(
                "%d messages were not delivered; they wait in %s and are sent when the unit runs again and reaches "
                "the broker",
                self._outbox.depth(),
                self._config.outbox_path,
                extra=coded(Code.UNDELIVERED),
            )

    def _standing(self) -> str:
        link = None if self._link is None else self._link.status
        try:
            waiting = self._outbox.depth()
        except OutboxError:  # what is wrong with it is told by those who need it
            waiting = None
        return standing(self._ears, link=link, waiting=waiting, notice=self.notice)

    def _listen(self, ear: Ear) -> None:
        current_sensor.set(ear.sensor)
        try:
            while not self._stopping.is_set() and (piece := ear.source.read()) is not None:
                with ear.mutex:
                    judged = self._is_judged(ear, piece)
                    with self._turn:
                        if ear.recorder is not None:
                            ear.recorder.hear(piece)
                        began_s = time.perf_counter()
                        reports = ear.pipeline.hear(piece, judged=judged, scale=ear.source.scale)
                        active_ms = 1e3 * (time.perf_counter() - began_s)
                    for report in reports:
                        self._tell(ear, report)
                    ear.tutor.hear(piece)
                    if isinstance(piece, Gap) and piece.planned:
                        self._rest(ear, piece)
                if (shadow := self._candidates.shadow) is not None:
                    with self._turn:
                        shadow.hear(ear.sensor, piece, reports, judged=judged, active_ms=active_ms)
        except (AudioError, CaptureError) as error:
            # A user's error needs no traceback.
            log.error("%s: %s", ear.sensor, error, extra=coded(Code.SENSOR_GIVEN_UP))  # noqa: TRY400
            self._deaf = True
            if isinstance(error, CaptureError):
                self.stop()
        except BaseException as error:
            self._model.blame(error)
            self._broken = error
            self.stop()
        finally:
            self._heartbeat.leave(ear.sensor)

    def _is_judged(self, ear: Ear, piece: Block | Gap) -> bool:
        """Whether what is heard may change the state: not if it was told of before, nor by day, if nights are judged.

        A clock that cannot be trusted must not make a unit sleep.
        """
        moment = moment_of(piece)
        if isinstance(piece, Block) and piece.again and ear.reporter.has_told_of(moment.time):
            return False
        if not self._config.decision.night_only:
            return True
        return not moment.is_trusted() or ear.night.is_on(moment.time)

    def _rest(self, ear: Ear, gap: Gap) -> None:
        """A sensor that records by itself has nothing to hear now: keep what was made of what it had."""
        if gap.utc_s is not None and (night := ear.night.pass_by(moment_of(gap).time)) is not None:
            self._outbox.put(night_message(self._config.unit, ear.sensor, night, self._stamp(0)))
        ear.night.save()
        if ear.follower is not None:
            ear.follower.save()
        self._heartbeat.beat(ear.sensor)

    def _tell(self, ear: Ear, report: Report) -> None:
        if report.score_ms is not None:
            ear.latencies_ms.append(report.score_ms)
            self._model.scored(report.score_ms)
        self._complain(ear, report)
        before = ear.reporter.event
        self._report(ear, report)
        self._log_news(ear, report, before)
        if ear.follower is not None:
            ear.follower.take(report)
        if report.window is not None:
            heard = moment_of_report(report)
            night = ear.night.hear(heard.time, report.level_db, clock_trusted=heard.is_trusted)
            if night is not None:
                self._outbox.put(night_message(self._config.unit, ear.sensor, night, self._stamp(0)))
        self._display(report)
        if self._feed is not None:
            self._feed(report)
        if report.window is not None or report.state is State.FAULT:
            self._heartbeat.beat(ear.sensor)

    def _report(self, ear: Ear, report: Report) -> None:
        """Tell the control room, and keep evidence of what it is told."""
        recorder, reasons = ear.recorder, None
        if recorder is not None and report.decades is not None and report.band_db is not None:
            # What is shown is what is held against the raise level, once there is such a thing.
            decades = report.decades if report.horizon_decades is None else report.horizon_decades
            hearing = Hearing(
                end_s=report.position_s, decades=decades, level_db=report.level_db, band_db=report.band_db
            )
            recorder.take(hearing)
            reasons = recorder.explain() if report.event == "open" else None
        ear.reporter.take(report, ear.pipeline, reasons)
        if recorder is None:
            return
        if report.event == "open" and reasons is not None:
            assert ear.reporter.event is not None
            event = ear.reporter.event
            recorder.open(event.event_id, event.opened_time, reasons, clock=clock_quality(), scale=ear.source.scale)
        elif report.event == "close":
            recorder.close_event()

    def _log_news(self, ear: Ear, report: Report, before: OpenEvent | None) -> None:
        """Log what changed, once it is in the outbox; nothing is wrong with the unit that hears a leak."""
        event = ear.reporter.event or before
        event_id = "" if event is None else event.event_id
        if report.changed:
            fields = coded(Code.STATE_CHANGED, event_id=event_id)
            log.info("%s: %s: %s", ear.sensor, report.state, report.reason, extra=fields)
        if report.event is not None:
            code = Code.EVENT_OPENED if report.event == "open" else Code.EVENT_CLOSED
            log.info("%s: event %s: %s", ear.sensor, event_id, report.event, extra=coded(code, event_id=event_id))

    def _complain(self, ear: Ear, report: Report) -> None:
        """Log what is wrong with a sensor's audio, each cause now and then; lost audio its source has logged."""
        ailment = report.ailment
        if ailment is None or ailment.cause is Cause.LOST:
            return
        told_s = ear.complained_s.get(ailment.cause)
        if told_s is None or report.position_s - told_s >= REMINDER_S:
            ear.complained_s[ailment.cause] = report.position_s
            log.warning(
                "%s: at %.1f s %s", ear.sensor, report.position_s, ailment.text, extra=coded(Code.SENSOR_AILING)
            )

    def _birth(self) -> bytes:
        sensors = [
            sensor_birth(sensor, rate_hz=ear.source.rate_hz, calibrated=ear.follower is not None)
            for sensor, ear in zip(self._config.sensors, self._ears, strict=True)
        ]
        commands, slots = list(self._orders.handlers), models.status(self._config)
        return payloads.encode(birth_of(self._bundle, self._runtime, sensors, commands, slots), self._stamp(0))

    def _status(self, availability: payloads.Availability) -> bytes:
        return payloads.encode(payloads.Status(availability), self._stamp(0))

    def _test_itself(self, after_s: float) -> None:
        if self._stopping.wait(after_s):
            return
        with suppress(OutboxError):  # a unit that stops meanwhile has nobody to tell
            self._examine()

    def _examine(self) -> payloads.SelfTest:
        from hydroear.selftest import Result, examine_unit, report  # and with it paho

        findings = examine_unit(self._config)
        for finding in findings:
            if finding.result is Result.FAIL:
                log.error(
                    "selftest: %s: %s; %s",
                    finding.stage,
                    finding.measured,
                    finding.fix,
                    extra=coded(Code.SELFTEST_FAILED),
                )
        found = report(findings)
        payload = payloads.encode(found, self._stamp(0))
        self._outbox.put(Message(topics.selftest(self._config.unit), payload, Kind.HEALTH, retain=True))
        return found

    def _announce(self) -> None:
        if self._link is not None:
            self._link.announce()

    def _hear_devices(self) -> None:
        for ear in self._ears:
            self._alarms.take(ear.sensor, ear.source.news())

    def _health(self) -> payloads.Health:
        return health_of(
            self._ears,
            self._alarms,
            outbox=self._outbox,
            writer=self._writer,
            refused=self._link.status.refused if self._link is not None else 0,
            state_dir=self._config.state_dir,
            bundle=self._bundle,
            shadow=self._candidates.standing,
            started_s=self._started_s,
        )


def install_stop(stop: Callable[[], None]) -> None:
    """Let SIGTERM and SIGINT end the unit in order."""
    import signal

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop())
