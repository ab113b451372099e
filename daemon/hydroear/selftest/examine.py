"""The stages in order: each measures within a time limit, then judges what it measured."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial

from hydroear.capture import Lines
from hydroear.config.schema import Config, LoggerSource, Sensor
from hydroear.dsp import FrontEndSpec
from hydroear.health.clock import clock_quality
from hydroear.health.machine import look_at_machine
from hydroear.model.slots import bundle_to_run, trusted_keys
from hydroear.mqtt.broker import Address, broker_addresses
from hydroear.score import Scorer, SiteCalibration
from hydroear.selftest.attempt import attempt
from hydroear.selftest.broker import check_broker
from hydroear.selftest.finding import Finding, Result, skipped
from hydroear.selftest.machine import judge_clock, judge_machine
from hydroear.selftest.model import judge_bundle, judge_golden, judge_latency, run_golden, time_windows
from hydroear.selftest.sensor import (
    judge_calibration,
    judge_logger,
    judge_sound,
    judge_source,
    listen,
    load_calibration,
)
from hydroear.selftest.store import judge_store, visit_store

# Limits, in seconds: one after the other, the sensor, its calibration and the broker at the same time. Together less
# than 20.
BUNDLE_S = 2.0
RUNTIME_S = 4.0
LATENCY_S = 3.0
STORE_S = 2.0
SENSOR_S = 7.5
CALIBRATION_S = 2.0
MACHINE_S = 1.0
BROKER_S = 7.0


def examine_unit(config: Config) -> list[Finding]:
    """Examine what a unit has while it listens: all but its sensors and the way to the broker.

    Returns
    -------
    list of Finding
        One a stage, in order.
    """
    return _examine_inside(config)[0]


def examine(config: Config, sensors: Sequence[Sensor]) -> list[Finding]:
    """Examine a unit.

    Parameters
    ----------
    config
        The unit.
    sensors
        Those of its sensors that are listened to.

    Returns
    -------
    list of Finding
        One a stage, in order. The state comes before the sensors, because a running daemon has the sensors.
    """
    findings, scorer, daemon_runs = _examine_inside(config)
    addresses = [] if config.mqtt is None else broker_addresses(config.mqtt)
    lines = Lines()
    with ThreadPoolExecutor(len(sensors) + max(1, len(addresses))) as pool:
        look = partial(_examine_sensor, config, scorer=scorer, lines=lines, daemon_runs=daemon_runs)
        ears = [pool.submit(look, sensor) for sensor in sensors]
        brokers = [pool.submit(_examine_broker, config, *place) for place in enumerate(addresses, 1)]
        for rows in (*ears, *brokers):
            findings += rows.result()
    if config.mqtt is None:
        findings.append(skipped("broker", "no broker configured"))
    return findings


def _examine_inside(config: Config) -> tuple[list[Finding], Scorer | None, bool]:
    """The stages before the sensors; also the scorer, if it works, and whether a daemon runs."""
    findings = [_config(config)]
    scorer = _examine_model(config, findings)
    store = attempt("state", STORE_S, lambda: visit_store(config.state_dir, config.outbox_path))
    findings.append(store if isinstance(store, Finding) else judge_store(store))
    machine = attempt("machine", MACHINE_S, look_at_machine)
    findings.append(machine if isinstance(machine, Finding) else judge_machine(machine))
    findings.append(judge_clock(clock_quality()))
    return findings, scorer, not isinstance(store, Finding) and store.owned


def _config(config: Config) -> Finding:
    names = ", ".join(sensor.id for sensor in config.sensors)
    return Finding("config", Result.PASS, f"unit {config.unit}, sensors {names}")


def _examine_model(config: Config, findings: list[Finding]) -> Scorer | None:
    choice = bundle_to_run(config)
    bundle = attempt("bundle", BUNDLE_S, lambda: choice.read(trusted_keys(config)))
    if isinstance(bundle, Finding):
        findings += [bundle, skipped("runtime", "bundle failed"), skipped("latency", "bundle failed")]
        return None
    findings.append(judge_bundle(bundle, choice))
    golden = attempt("runtime", RUNTIME_S, lambda: run_golden(bundle, config.runtime))
    if isinstance(golden, Finding):
        findings += [golden, skipped("latency", "runtime failed")]
        return None
    findings.append(judge_golden(golden))
    times_ms = attempt("latency", LATENCY_S, lambda: time_windows(golden.scorer))
    if isinstance(times_ms, Finding):
        findings.append(times_ms)
    else:
        findings.append(judge_latency(times_ms, bundle.front_end, len(config.sensors)))
    return golden.scorer


def _examine_sensor(
    config: Config, sensor: Sensor, *, scorer: Scorer | None, lines: Lines, daemon_runs: bool
) -> list[Finding]:
    spec = None if scorer is None else scorer.bundle.front_end
    stage = f"calibration {sensor.id}"
    site: SiteCalibration | None = None
    if scorer is None:
        calibration = skipped(stage, "bundle or runtime failed")
    else:
        model = bundle_to_run(config).model
        path, required = config.site_path(sensor, model), sensor.site is not None and not model
        loaded = attempt(stage, CALIBRATION_S, lambda: load_calibration(path, scorer, required=required))
        if isinstance(loaded, Finding):
            calibration = loaded
        else:
            site, calibration = loaded, judge_calibration(stage, loaded)
    if daemon_runs:
        reason = "the daemon is running and has the sensor"
        findings = [skipped(f"{stage} {sensor.id}", reason) for stage in _listening_stages(sensor)]
    else:
        findings = _listen_to(sensor, lines, spec, None if site is None else site.quietest_db)
    return [*findings, calibration]


def _listen_to(sensor: Sensor, lines: Lines, spec: FrontEndSpec | None, quietest_db: float | None) -> list[Finding]:
    source, *sounds = (f"{stage} {sensor.id}" for stage in _listening_stages(sensor))
    if isinstance(settings := sensor.source, LoggerSource):
        from hydroear.capture.collector import take_inventory  # and with it the bridge, for those who have one

        inventory = attempt(source, SENSOR_S, lambda: take_inventory(settings))
        visited = inventory if isinstance(inventory, Finding) else judge_logger(source, inventory)
        return [visited, *(skipped(sound, "a logger does not sound now") for sound in sounds)]
    # The source gives up a little before the attempt does, so that its own words are heard.
    heard = attempt(source, SENSOR_S, lambda: listen(sensor.source, patience_s=SENSOR_S - 1.0, lines=lines))
    if isinstance(heard, Finding):
        return [heard, *(skipped(sound, f"{source} failed") for sound in sounds)]
    findings = [judge_source(source, heard, spec), judge_sound(sounds[0], heard, spec, quietest_db=quietest_db)]
    if heard.reference is not None:
        findings.append(judge_sound(sounds[1], replace(heard, samples=heard.reference), spec, quietest_db=None))
    return findings


def _listening_stages(sensor: Sensor) -> list[str]:
    return ["source", "sound"] + ["reference"] * (sensor.source.reference_channel is not None)


def _examine_broker(config: Config, number: int, address: Address) -> list[Finding]:
    assert config.mqtt is not None
    name = "broker" if number == 1 else f"broker {number}"
    return check_broker(config.mqtt, config.unit, address, limit_s=BROKER_S, name=name)
