"""Which broker comes next, in which version, and after what wait."""

from __future__ import annotations

from paho.mqtt.enums import MQTTProtocolVersion

from hydroear.mqtt.broker import Address
from hydroear.mqtt.roster import Attempt, Roster

V5, V311 = MQTTProtocolVersion.MQTTv5, MQTTProtocolVersion.MQTTv311
FIRST, SECOND = Address("first", 1883), Address("second", 8883, tls=True)


def places(attempts: list[Attempt]) -> list[tuple[Address, MQTTProtocolVersion]]:
    return [(attempt.address, attempt.protocol) for attempt in attempts]


def test_every_broker_is_tried_before_there_is_a_wait_and_waits_grow_to_the_longest() -> None:
    roster = Roster([FIRST, SECOND], [V5], (1.0, 4.0))
    attempts = [roster.first()]
    assert not roster.exhausted
    attempts += [roster.failed() for _ in range(9)]
    assert [attempt.address for attempt in attempts] == [FIRST, SECOND] * 5
    waits_s = [attempt.wait_s for attempt in attempts[::2]]
    assert waits_s[0] == 0.0
    for wait_s, most_s in zip(waits_s[1:], (1.0, 2.0, 4.0, 4.0), strict=True):
        assert 0.5 * most_s <= wait_s <= most_s
    assert {attempt.wait_s for attempt in attempts[1::2]} == {0.0}
    assert roster.exhausted


def test_a_broker_that_may_not_know_the_version_is_asked_in_the_other_at_once_and_that_is_kept() -> None:
    roster = Roster([FIRST, SECOND], [V5, V311], (1.0, 4.0))
    attempts = [roster.first(), roster.failed(other_version=True)]
    assert places(attempts) == [(FIRST, V5), (FIRST, V311)]
    roster.accepted()
    assert places([roster.lost(), roster.failed(other_version=True)]) == [(FIRST, V311), (SECOND, V5)]


def test_a_version_that_was_no_help_is_forgotten() -> None:
    roster = Roster([FIRST], [V5, V311], (1.0, 4.0))
    attempts = [roster.first(), *(roster.failed(other_version=True) for _ in range(3))]
    assert places(attempts) == [(FIRST, V5), (FIRST, V311)] * 2


def test_a_connection_that_ends_is_made_again_from_the_preferred_broker_after_a_short_wait() -> None:
    roster = Roster([FIRST, SECOND], [V5], (1.0, 4.0))
    for _ in range(7):
        roster.failed()
    roster.accepted()
    assert not roster.exhausted
    attempt = roster.lost()
    assert attempt.address == FIRST
    assert 0.5 <= attempt.wait_s <= 1.0


def test_units_that_lost_a_broker_together_do_not_come_back_together() -> None:
    waits_s = {Roster([FIRST], [V5], (30.0, 30.0)).lost().wait_s for _ in range(100)}
    assert max(waits_s) - min(waits_s) > 10.0
