from itertools import pairwise

import numpy as np
import pytest

from hydroear_bridge.clock import DeviceClock, Exchange

BOOT_S = 5000.0


def exchanges(seconds, *, ppm, jitter_s, rng, every_s=0.5, boot_s=BOOT_S):
    """A device whose clock is off by `ppm`, asked over a link that delays each way by 1 ms and by chance more."""

    def device_us(now_s):
        return round(1e6 * (now_s - boot_s) * (1.0 + 1e-6 * ppm))

    for asked_s in np.arange(boot_s + 1.0, boot_s + 1.0 + seconds, every_s):
        received_s = asked_s + 1e-3 + rng.uniform(0.0, jitter_s)
        answered_s = received_s + 200e-6
        heard_s = answered_s + 1e-3 + rng.uniform(0.0, jitter_s)
        yield Exchange(asked_s, device_us(received_s), device_us(answered_s), heard_s)


@pytest.mark.parametrize("ppm", [-100.0, 100.0])
def test_after_a_minute_of_a_jittery_link_the_time_is_right_to_a_millisecond(ppm):
    errors_s = []
    for seed in range(200):
        clock = DeviceClock()
        for exchange in exchanges(60.0, ppm=ppm, jitter_s=5e-3, rng=np.random.default_rng(seed)):
            clock.learn(exchange)
        now_s = BOOT_S + 61.0
        errors_s.append(clock.time_s(round(1e6 * 61.0 * (1.0 + 1e-6 * ppm))) - now_s)
    assert np.max(np.abs(errors_s)) <= 1e-3
    assert np.abs(np.mean(errors_s)) < 1e-4


def test_the_rate_is_found():
    clock = DeviceClock()
    for exchange in exchanges(600.0, ppm=42.0, jitter_s=1e-3, rng=np.random.default_rng(0)):
        clock.learn(exchange)
    assert clock.ppm == pytest.approx(42.0, abs=1.0)
    assert clock.error_s < 1e-4


def test_what_was_slow_on_one_way_alone_counts_for_little():
    rng = np.random.default_rng(1)
    clock = DeviceClock()
    for number, exchange in enumerate(exchanges(60.0, ppm=0.0, jitter_s=1e-4, rng=rng)):
        late_s = 0.2 if number % 3 == 0 else 0.0
        clock.learn(Exchange(exchange.asked_s, exchange.received_us, exchange.answered_us, exchange.heard_s + late_s))
    assert clock.time_s(60_000_000) == pytest.approx(BOOT_S + 60.0, abs=1e-3)


def test_time_never_goes_back():
    rng = np.random.default_rng(2)
    clock, told = DeviceClock(), []
    for exchange in exchanges(30.0, ppm=80.0, jitter_s=20e-3, rng=rng):
        clock.learn(exchange)
        told += [clock.time_s(exchange.answered_us + step) for step in range(0, 450_000, 50_000)]
    assert all(after >= before for before, after in pairwise(told))


def test_a_later_time_is_never_given_as_earlier_than_one_that_was_given():
    clock = DeviceClock()
    clock.learn(Exchange(10.0, 1_000_000, 1_000_100, 10.1))
    told_s = clock.time_s(1_500_000)
    clock.learn(Exchange(10.5, 1_500_000, 1_500_100, 10.501))  # it was much earlier than had been thought
    assert clock.time_s(1_500_010) >= told_s


def test_an_earlier_time_is_never_given_as_later_than_one_that_was_given():
    clock = DeviceClock()
    clock.learn(Exchange(10.0, 1_000_000, 1_000_100, 10.1))
    later_s = clock.time_s(2_000_000)
    clock.learn(Exchange(10.56, 1_500_000, 1_500_100, 10.561))  # it was much later than had been thought
    assert clock.time_s(1_999_990) <= later_s


def test_between_exchanges_the_rate_is_reckoned_with():
    clock = DeviceClock()
    for exchange in exchanges(120.0, ppm=100.0, jitter_s=1e-3, rng=np.random.default_rng(5)):
        clock.learn(exchange)
    later_s = 221.0
    assert clock.time_s(round(1e6 * later_s * (1.0 + 100e-6))) == pytest.approx(BOOT_S + later_s, abs=2e-3)


def test_a_rate_is_not_believed_that_no_crystal_has():
    errors_s = []
    for seed in range(100):
        clock = DeviceClock()
        for exchange in exchanges(1.2, ppm=0.0, jitter_s=10e-3, rng=np.random.default_rng(seed)):
            clock.learn(exchange)
        errors_s.append(clock.time_s(22_000_000) - (BOOT_S + 22.0))
    assert np.median(np.abs(errors_s)) < 0.005


def test_a_rate_that_has_changed_is_learned_and_the_old_one_forgotten():
    clock = DeviceClock()
    rng = np.random.default_rng(6)
    for exchange in exchanges(1200.0, ppm=-20.0, jitter_s=1e-3, rng=rng, every_s=5.0):
        clock.learn(exchange)
    change_s, offset_us = 1201.0, 1201e6 * (1.0 - 20e-6) - 1201e6 * (1.0 + 30e-6)
    for exchange in exchanges(1600.0, ppm=30.0, jitter_s=1e-3, rng=rng, every_s=5.0):
        if exchange.asked_s > BOOT_S + change_s:
            stamps = (round(exchange.received_us + offset_us), round(exchange.answered_us + offset_us))
            clock.learn(Exchange(exchange.asked_s, *stamps, exchange.heard_s))
    assert clock.ppm == pytest.approx(30.0, abs=2.0)


def test_it_does_not_know_the_time_before_the_first_exchange():
    clock = DeviceClock()
    assert clock.time_s(0) is None
    assert (clock.ppm, clock.error_s) == (None, None)
    clock.learn(Exchange(10.0, 1_000_000, 1_000_100, 10.004))
    assert clock.time_s(1_000_050) == pytest.approx(10.002)
    assert clock.ppm is None


@pytest.mark.parametrize(
    "impossible",
    [
        Exchange(20.0, 900_000, 900_100, 20.004),  # before the one that was heard
        Exchange(20.0, 9_000_000, 8_999_000, 20.004),  # answered before it was asked
        Exchange(20.0, 9_000_000, 10_000_000, 20.004),  # took longer than it took
    ],
)
def test_an_exchange_that_cannot_be_changes_nothing(impossible):
    clock = DeviceClock()
    clock.learn(Exchange(10.0, 1_000_000, 1_000_100, 10.004))
    clock.learn(impossible)
    assert clock.time_s(2_000_000) == pytest.approx(11.00195, abs=1e-6)


def test_a_device_that_starts_anew_begins_another_time():
    clock = DeviceClock()
    clock.learn(Exchange(10.0, 1_000_000_000, 1_000_000_100, 10.004))
    assert clock.time_s(1_000_000_000) == pytest.approx(10.002, abs=1e-4)
    clock.begin_anew()
    assert clock.time_s(5) is None
    clock.learn(Exchange(20.0, 1_000, 1_100, 20.004))
    assert clock.time_s(1_050) == pytest.approx(20.002)


def test_after_a_day_of_silence_it_learns_again():
    clock = DeviceClock()
    for exchange in exchanges(60.0, ppm=30.0, jitter_s=1e-3, rng=np.random.default_rng(3)):
        clock.learn(exchange)
    late_s = BOOT_S + 86400.0
    rng = np.random.default_rng(4)
    for exchange in exchanges(5.0, ppm=30.0, jitter_s=1e-3, rng=rng, boot_s=late_s - 86400.0):
        shifted = round(86400e6 * (1.0 + 30e-6))
        clock.learn(
            Exchange(
                exchange.asked_s + 86400.0,
                exchange.received_us + shifted,
                exchange.answered_us + shifted,
                exchange.heard_s + 86400.0,
            )
        )
    assert clock.time_s(round(1e6 * (86405.0) * (1.0 + 30e-6))) == pytest.approx(BOOT_S + 86405.0, abs=2e-3)
