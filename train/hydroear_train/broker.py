"""An MQTT broker inside this process, for demonstrations: no mosquitto, no root, no configuration."""

from __future__ import annotations

import asyncio
import logging
import threading
from concurrent.futures import Future
from typing import Self

from amqtt.adapters import StreamReaderAdapter, StreamWriterAdapter
from amqtt.broker import Broker

HOST = "127.0.0.1"
LISTENER = "default"
CONFIG = {
    # amqtt has no way to tell which port it was given, so the port is opened here.
    "listeners": {LISTENER: {"type": "external"}},
    "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
}


class EmbeddedBroker:
    """A broker on a free loopback port that lets everybody in, for the length of a ``with``.

    It forgets everything when it stops, and speaks MQTT 3.1.1 only: clients need ``protocol: "3.1.1"``.

    Attributes
    ----------
    url
        Where it listens, ``mqtt://127.0.0.1:PORT``.
    """

    def __init__(self) -> None:
        self.url = ""
        self._up: Future[tuple[int, asyncio.AbstractEventLoop, asyncio.Event]] = Future()
        self._thread = threading.Thread(target=self._run, name="broker", daemon=True)

    def __enter__(self) -> Self:
        # It reports every client that hangs up as a failure.
        for name in ("amqtt", "transitions"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
        self._thread.start()
        port, self._loop, self._stop = self._up.result()
        self.url = f"mqtt://{HOST}:{port}"
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:
            self._up.set_exception(error)

    async def _serve(self) -> None:
        broker = Broker(CONFIG)
        await broker.start()

        async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                await broker.external_connected(StreamReaderAdapter(reader), StreamWriterAdapter(writer), LISTENER)
            finally:
                # amqtt leaves the sockets of clients open that are still connected when it stops.
                writer.transport.abort()

        server = await asyncio.start_server(greet, HOST, 0)
        stop = asyncio.Event()
        self._up.set_result((server.sockets[0].getsockname()[1], asyncio.get_running_loop(), stop))
        await stop.wait()
        server.close()
        await broker.shutdown()
