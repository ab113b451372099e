"""The only queue between a decision and the control room: SQLite, store and forward."""

from hydroear.outbox.outbox import Outbox, own_queue

__all__ = ["Outbox", "own_queue"]
