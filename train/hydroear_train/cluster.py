"""The cluster that ``TF_CONFIG`` describes, and the wait until all of it is up."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hydroear.errors import HydroearError, UsageError

_RETRY_S = 0.2
_CONNECT_TIMEOUT_S = 5.0
_EXAMPLE = '{"cluster": {"worker": ["HOST:PORT", …]}, "task": {"type": "worker", "index": 0}}'


class WorkerError(HydroearError):
    """Another worker ended or cannot be reached."""


@dataclass(frozen=True)
class Cluster:
    """The workers that train together.

    Attributes
    ----------
    addresses
        ``HOST:PORT`` of every worker.
    index
        Which of them this process is.
    """

    addresses: tuple[str, ...]
    index: int

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Cluster:
        """Read ``TF_CONFIG``.

        Raises
        ------
        UsageError
            If it is missing or no cluster of workers that this process is one of.
        """
        text = environment.get("TF_CONFIG")
        if text is None:
            raise _wrong("not set")
        try:
            config = json.loads(text)
            jobs, addresses = set(config["cluster"]), tuple(config["cluster"]["worker"])
            kind, index = config["task"]["type"], config["task"]["index"]
        except (ValueError, KeyError, TypeError) as error:
            raise _wrong(f"{text!r} is no cluster of workers") from error
        if jobs != {"worker"} or kind != "worker":
            raise _wrong(f"job {kind!r} of {', '.join(sorted(jobs))}")
        if not isinstance(index, int) or not 0 <= index < len(addresses):
            raise _wrong(f"task index {index!r} with {len(addresses)} workers")
        for address in addresses:
            if (
                not isinstance(address, str)
                or not address.rpartition(":")[0]
                or not address.rpartition(":")[2].isdigit()
            ):
                raise _wrong(f"worker {address!r}")
        return cls(addresses, index)

    def gather(self, timeout_s: float) -> None:
        """Wait until every other worker answers: TensorFlow itself would wait for a missing one without an end.

        A worker that has gone on already answers through TensorFlow's server, at the same address.

        Raises
        ------
        UsageError
            If this worker's port is taken.
        WorkerError
            If a worker does not answer in time.
        """
        missing = [address for number, address in enumerate(self.addresses) if number != self.index]
        deadline_s = time.monotonic() + timeout_s
        mine = self.addresses[self.index]
        try:
            listener = socket.create_server(("", _split(mine)[1]), backlog=len(self.addresses))
        except (OSError, OverflowError) as error:
            raise UsageError(
                f"cannot listen on {mine} ({error})", where="TF_CONFIG", fix="choose a free port"
            ) from error
        with listener:
            while missing := [address for address in missing if not _answers(address)]:
                if time.monotonic() > deadline_s:
                    raise WorkerError(
                        f"no answer in {timeout_s:g} s from {', '.join(missing)}",
                        where="TF_CONFIG",
                        fix="start every worker, and check that they reach one another",
                    )
                time.sleep(_RETRY_S)


def _answers(address: str) -> bool:
    try:
        socket.create_connection(_split(address), timeout=_CONNECT_TIMEOUT_S).close()
    except (OSError, OverflowError):
        return False
    return True


def _split(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


def _wrong(what: Any) -> UsageError:
    return UsageError(str(what), where="TF_CONFIG", expected=_EXAMPLE, fix="set it in the environment of each worker")
