"""The way to the control room: topics, payloads and the link to the broker."""

from hydroear.mqtt.link import Link, LinkStatus

__all__ = ["Link", "LinkStatus"]
