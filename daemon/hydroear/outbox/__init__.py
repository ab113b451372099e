"""The only queue between a decision and the control room: SQLite, store and forward."""

from hydroear.outbox.outbox import Outbox, Stock, own_queue, take_stock

__all__ = ["Outbox", "Stock", "own_queue", "take_stock"]
