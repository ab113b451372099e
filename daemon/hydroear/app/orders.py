"""What a unit does when the control room asks."""

from __future__ import annotations

import base64
import hashlib
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydroear.app import models
from hydroear.app.delivery import Delivery
from hydroear.app.lesson import Goal
from hydroear.config import schema
from hydroear.config.settings import change_settings
from hydroear.errors import HydroearError
from hydroear.message import Kind, Message
from hydroear.mqtt import commands, payloads, topics
from hydroear.mqtt.commands import PIECE_BYTES
from hydroear.outbox import Outbox

if TYPE_CHECKING:
    from hydroear.app.desk import Handler
    from hydroear.app.unit import Ear

RESTART_AFTER_S = 1.0
"""Until a unit that is to restart ends: the reply goes first."""
ANSWER_S = 10.0
"""How long a sensor may be busy with a piece of audio."""


class Orders:
    """The commands that a unit takes, each by a method of its name.

    Parameters
    ----------
    config
        The unit.
    ears
        Its sensors.
    outbox, stamp
        Where messages wait, and who makes their stamps.
    examine
        Examines the unit, publishes what was found, and gives it.
    announce
        Says again all that is retained.
    stop
        Ends the unit.
    """

    def __init__(
        self,
        config: schema.Config,
        ears: Sequence[Ear],
        *,
        outbox: Outbox,
        stamp: Callable[[int], payloads.Stamp],
        examine: Callable[[], payloads.SelfTest],
        announce: Callable[[], None],
        stop: Callable[[], None],
    ) -> None:
        self._config, self._outbox, self._stamp = config, outbox, stamp
        self._ears = {ear.sensor: ear for ear in ears}
        self._examine, self._announce, self._stop = examine, announce, stop
        self._started_s = time.monotonic()
        self._delivery, self._delivering = Delivery(config.models_dir / "incoming"), threading.Lock()

    @property
    def handlers(self) -> dict[str, Handler]:
        """Who does what, by verb."""
        return {verb: getattr(self, verb.replace("-", "_")) for verb in commands.COMMANDS}

    def ping(self, _command: commands.Ping) -> Mapping[str, Any]:
        """Say how long the unit has been up."""
        return {"uptime_s": round(time.monotonic() - self._started_s, 1)}

    def selftest(self, _command: commands.Selftest) -> Mapping[str, Any]:
        """Examine the unit."""
        found = self._examine()
        results = [stage["result"] for stage in found.stages]
        return {"result": found.result, **{result: results.count(result) for result in sorted(set(results))}}

    def ack(self, command: commands.Ack) -> Mapping[str, Any]:
        """Take a leak on."""
        for ear in self._ears.values():
            with _Turn(ear):
                event = ear.reporter.event
                if event is not None and event.event_id == command.event_id:
                    ear.reporter.acknowledge(ear.pipeline, command.by)
                    return {"sensor": ear.sensor, "state": ear.pipeline.state.value}
        raise HydroearError(
            f"no event {command.event_id} is open", fix="it may be over, or another unit's: look at the states"
        )

    def mute(self, command: commands.Mute) -> Mapping[str, Any]:
        """Call no leak for a while."""
        return self._mute(command.sensor, command.for_s)

    def unmute(self, command: commands.Unmute) -> Mapping[str, Any]:
        """Call leaks again."""
        return self._mute(command.sensor, 0.0)

    def _mute(self, sensor: str, for_s: float) -> Mapping[str, Any]:
        with _Turn(ear := self._ear(sensor)):
            ear.pipeline.mute(for_s)
            ear.reporter.tell_state(ear.pipeline)
            return {"sensor": sensor, "muted_s": ear.pipeline.muted_s}

    def calibrate_start(self, command: commands.CalibrateStart) -> Mapping[str, Any]:
        """Begin to learn a site."""
        goal = Goal(heard_s=command.for_s, nights=command.nights)
        with _Turn(ear := self._ear(command.sensor)):
            return asdict(ear.tutor.start(goal, accept_anyway=command.accept_anyway))

    def calibrate_stop(self, command: commands.CalibrateStop) -> Mapping[str, Any]:
        """End that."""
        with _Turn(ear := self._ear(command.sensor)):
            return asdict(ear.tutor.stop())

    def calibrate_status(self, command: commands.CalibrateStatus) -> Mapping[str, Any]:
        """Tell how it stands."""
        with _Turn(ear := self._ear(command.sensor)):
            return asdict(ear.tutor.standing())

    def _ear(self, sensor: str) -> Ear:
        if sensor not in self._ears:
            raise HydroearError(f"no sensor {sensor!r}", expected=f"one of: {', '.join(self._ears)}")
        return self._ears[sensor]

    def clip(self, command: commands.Clip) -> Mapping[str, Any]:
        """Send the sound of an event, from a piece on."""
        path = self._clip_path(command.event_id)
        try:
            content = path.read_bytes()
        except OSError as error:
            raise HydroearError(f"the clip cannot be read: {error.strerror}", where=path.name) from error
        count = max(1, -(-len(content) // PIECE_BYTES))
        if command.first >= count:
            raise HydroearError(f"no piece {command.first}", expected=f"0 to {count - 1}")
        digest, sensor = hashlib.sha256(content).hexdigest(), path.parent.name
        topic = topics.clip(self._config.unit, command.event_id)
        for piece in range(command.first, count):
            body = payloads.Clip(
                event_id=command.event_id,
                sensor=sensor,
                file=path.name,
                size_bytes=len(content),
                sha256=digest,
                piece=piece,
                pieces=count,
                data=base64.b64encode(content[piece * PIECE_BYTES : (piece + 1) * PIECE_BYTES]).decode(),
            )
            self._outbox.put(Message(topic, payloads.encode(body, self._stamp(0)), Kind.CLIP))
        return {"file": path.name, "size_bytes": len(content), "sha256": digest, "pieces": count}

    def _clip_path(self, event_id: str) -> Path:
        for sensor in self._ears:
            for suffix in (".flac", ".wav"):
                path = self._config.evidence_dir / sensor / f"{event_id}{suffix}"
                if path.is_file():
                    return path
        raise HydroearError(
            f"there is no sound of event {event_id}",
            fix="it may have been evicted, or is not written yet: clips end some seconds after the event opened",
        )

    def config(self, _command: commands.Config) -> Mapping[str, Any]:
        """Tell the configuration in force, but not the arguments of programs: they may hold a password."""
        told = self._config.model_dump(mode="json", by_alias=True)
        for sensor in told["sensors"]:
            if len(sensor["source"].get("command", [])) > 1:
                sensor["source"]["command"][1:] = ["…"]
        return told

    def config_set(self, command: commands.ConfigSet) -> Mapping[str, Any]:
        """Change settings, from the next start on."""
        changes = change_settings(self._config, command.changes, reset=command.reset)
        return {"changed": changes, "from": "the next start on"}

    def model_piece(self, command: commands.ModelPiece) -> Mapping[str, Any]:
        """Take one piece of a bundle."""
        with self._delivering:
            wanted = self._delivery.take(command.sha256, command.size_bytes, command.piece, command.data)
        return {"next": wanted, "whole": self._delivery.whole(command.sha256) is not None}

    def model_install(self, command: commands.ModelInstall) -> Mapping[str, Any]:
        """Verify a bundle that has come whole, and install it."""
        path = self._delivery.whole(command.sha256)
        if path is None:
            raise HydroearError(f"{command.sha256[:12]}… has not come whole", fix="send its pieces first")
        outcome = models.install(self._config, path, without_calibration=command.without_calibration)
        self._delivery.forget(command.sha256)
        installed = outcome.installed
        return {
            "name": installed.name,
            "release": installed.release,
            "new": outcome.new,
            "waits_for": outcome.waits_for,
        }

    def model_status(self, _command: commands.ModelStatus) -> Mapping[str, Any]:
        """Tell which bundles are installed."""
        return models.status(self._config)

    def model_confirm(self, _command: commands.ModelConfirm) -> Mapping[str, Any]:
        """Keep the bundle that is on probation."""
        return {"confirmed": models.confirm(self._config).name}

    def model_rollback(self, _command: commands.ModelRollback) -> Mapping[str, Any]:
        """Leave a bundle."""
        return {"left": models.roll_back(self._config).name, "from": "the next start on"}

    def rebirth(self, _command: commands.Rebirth) -> Mapping[str, Any]:
        """Say again all that is retained."""
        self._announce()
        return {}

    def restart(self, _command: commands.Restart) -> Mapping[str, Any]:
        """End the daemon, soon."""
        timer = threading.Timer(RESTART_AFTER_S, self._stop)
        timer.daemon = True
        timer.start()
        return {"in_s": RESTART_AFTER_S}


class _Turn:
    """A moment in which a sensor hears nothing, so that something may be changed about it."""

    def __init__(self, ear: Ear) -> None:
        self._ear = ear

    def __enter__(self) -> None:
        if not self._ear.mutex.acquire(timeout=ANSWER_S):
            raise HydroearError(f"sensor {self._ear.sensor} is busy", fix="ask again")

    def __exit__(self, *_: object) -> None:
        self._ear.mutex.release()
