"""Life under a service manager."""

from hydroear.service.notify import Notifier

__all__ = ["Notifier"]
