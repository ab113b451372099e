"""A running unit tells Prometheus what its health payload says."""

from __future__ import annotations

import re
import socket
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

from broker import free_port, wait_for
from hydroear.model import SHIPPED_BUNDLE, read_bundle
from listening import command, health, write


@contextmanager
def running_unit(folder: Path, port: int) -> Iterator[subprocess.Popen[str]]:
    """A unit that hears a recording and answers at a port."""
    source = {"type": "wav", "files": [str(write(folder / "pipe.wav", health(60.0, seed=1)))], "speed": 5}
    config = {
        "unit": "high-street",
        "bundle": str(SHIPPED_BUNDLE),
        "state_dir": str(folder / "state"),
        "sensors": [{"id": "hydrant-7", "source": source}],
        "metrics": {"port": port},
    }
    (folder / "unit.yaml").write_text(yaml.safe_dump(config))
    line = command("run", "--json", "-c", folder / "unit.yaml")
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as unit:
        try:
            yield unit
        finally:
            unit.kill()


def test_a_running_unit_is_scraped_and_hears_on(tmp_path: Path) -> None:
    port = free_port()

    def scraped() -> str:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5.0) as answer:
                return str(answer.read().decode())
        except OSError:
            return ""

    def windows() -> int:
        found = re.search(r'^hydroear_sensor_windows_scored_total\{sensor="hydrant-7"\} (\d+)$', scraped(), re.M)
        return int(found[1]) if found else 0

    with running_unit(tmp_path, port) as unit:
        wait_for(lambda: windows() > 3, "windows to be scored")
        mute = socket.create_connection(("127.0.0.1", port))
        before = windows()
        wait_for(lambda: windows() > before, "more windows")
        told = scraped()
        assert f'unit="high-street",model="{read_bundle(SHIPPED_BUNDLE).name}"' in told
        assert 'hydroear_sensor_condition{sensor="hydrant-7",condition="healthy"} 1\n' in told
        mute.close()
        unit.terminate()
        assert unit.wait(15.0) == 0


def test_a_port_that_is_taken_is_warned_of_and_the_unit_hears_all_the_same(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with running_unit(tmp_path, port) as unit:
            assert unit.stdout is not None
            assert '"window"' in unit.stdout.readline()
            unit.terminate()
            _, stderr = unit.communicate(timeout=15.0)
            assert unit.returncode == 0
    assert f"hydroear: warning: metrics.port {port}: nobody is answered: Address already in use" in stderr
