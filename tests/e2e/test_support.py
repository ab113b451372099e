"""``hydroear support``: all that is needed of a unit, in whatever state it is, and none of its secrets."""

from __future__ import annotations

import gzip
import json
import os
import stat
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest
import yaml

from authority import Authority
from broker import free_port, wait_for
from hydroear.app.support import MAX_PART_BYTES
from hydroear.model import SHIPPED_BUNDLE
from listening import command, health, write
from running import SENSOR, Daemon

PASSWORD, IN_URL, MISSPELT, ARGUMENT = "correct horse battery", "hunter2-in-url", "hunter3-misspelt", "hunter4-argument"

JOURNAL = """\
#!/bin/sh
echo "2026-11-23T10:00:00+0000 unit-1 hydroear[1]: hydroear: error: mqtt.url: bad value 'mqtt://unit:hunter2-i…'"
echo "2026-11-23T10:00:01+0000 unit-1 ffmpeg[2]: cannot open rtsp://root:hunter4-argument@192.0.2.1/pipe"
echo "2026-11-23T10:00:02+0000 unit-1 stray[3]: password is correct horse battery"
"""


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """A folder of programs that are found before the system's, with a journal that tells secrets."""
    folder = tmp_path / "programs"
    folder.mkdir()
    (folder / "journalctl").write_text(JOURNAL)
    (folder / "journalctl").chmod(0o755)
    return folder


@pytest.fixture
def config(tmp_path: Path) -> dict[str, Any]:
    """A unit with a password in a file and a private key."""
    folder = tmp_path / "etc"
    folder.mkdir()
    (folder / "mqtt_password").write_text(PASSWORD + "\n")
    issued = Authority(folder).vouch_for("unit-1")
    sound = write(tmp_path / "pipe.wav", health(60.0))
    return {
        "unit": "unit-1",
        "bundle": str(SHIPPED_BUNDLE),
        "state_dir": str(tmp_path / "state"),
        "sensors": [{"id": SENSOR, "source": {"type": "wav", "files": [str(sound)], "speed": 10.0}}],
        "mqtt": {
            "url": f"mqtts://localhost:{free_port()}",
            "username": "unit-1",
            "password_file": str(folder / "mqtt_password"),
            "tls": {"certificate_file": str(issued.certificate_file), "key_file": str(issued.key_file)},
        },
        "metrics": {"port": free_port()},
    }


def write_config(tmp_path: Path, config: dict[str, Any]) -> Path:
    path = tmp_path / "etc/config.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


def support(tmp_path: Path, programs: Path, *options: object) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PATH": f"{programs}:{os.environ['PATH']}"}
    return subprocess.run(
        command("support", "-c", tmp_path / "etc/config.yaml", *options),
        capture_output=True, text=True, timeout=60.0, check=False, env=environment, cwd=tmp_path,
    )  # fmt: skip


def unpacked(archive: Path) -> dict[str, str]:
    with tarfile.open(archive) as tar:
        files = {info.name: tar.extractfile(info) for info in tar.getmembers()}
        return {Path(name).name: file.read().decode() for name, file in files.items() if file is not None}


def assert_free_of_secrets(tmp_path: Path, archive: Path) -> None:
    content = gzip.decompress(archive.read_bytes()).decode()
    keys = [line for key in (tmp_path / "etc").glob("*.key") for line in key.read_text().splitlines()[1:-1]]
    for secret in (PASSWORD, "horse", IN_URL, "hunter2", MISSPELT, "hunter3", ARGUMENT, "hunter4", *keys):
        assert secret not in content, secret


def test_a_running_unit_tells_all_but_its_secrets(tmp_path: Path, programs: Path, config: dict[str, Any]) -> None:
    path = write_config(tmp_path, config)
    with Daemon(path) as daemon:
        wait_for(lambda: daemon.windows, "a window", timeout_s=60.0)
        done = support(tmp_path, programs, "--out", "unit.tar.gz", "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    archive = tmp_path / "unit.tar.gz"
    assert (told["archive"], told["bytes"]) == (str(archive), archive.stat().st_size)
    assert stat.S_IMODE(archive.stat().st_mode) == 0o600
    files = unpacked(archive)
    assert_free_of_secrets(tmp_path, archive)
    assert set(files) == {"INDEX.txt"} | {part["name"] for part in told["parts"] if not part["problem"]}
    shown = yaml.safe_load(files["config.yaml"])
    assert shown["mqtt"] == config["mqtt"]  # names of files, and no more
    stages = {stage["stage"]: stage["result"] for stage in json.loads(files["selftest.json"])["stages"]}
    assert (stages["runtime"], stages[f"source {SENSOR}"]) == ("pass", "skip")
    assert any(json.loads(line)["sensor"] == SENSOR for line in files["live.jsonl"].splitlines())
    assert "hydroear_queue_messages" in files["metrics.txt"]
    manifest = json.loads(files["models.json"])["manifests"][str(SHIPPED_BUNDLE)]
    assert manifest["format"] == "hydroear-bundle"
    assert json.loads(files["state.json"])["outbox"]["event"]["messages"] == 0
    assert json.loads(files["versions.json"])["distributions"]["numpy"]
    assert json.loads(files["machine.json"])["kernel"]["system"] == "Linux"
    assert "bad value 'mqtt://[removed]'" in files["service.log"]
    assert "stray[3]: password is [removed]" in files["service.log"]
    for part in told["parts"]:
        assert part["name"] in files["INDEX.txt"]
        assert part["about"] in files["INDEX.txt"]


def test_a_unit_whose_configuration_is_wrong_tells_what_is_wrong(
    tmp_path: Path, programs: Path, config: dict[str, Any]
) -> None:
    config["mqtt"] |= {"url": f"mqtt://unit:{IN_URL}@broker.example", "passwort": MISSPELT}
    arguments = ["-i", f"rtsp://root:{ARGUMENT}@192.0.2.1/pipe"]
    config["sensors"].append({"id": "net", "source": {"type": "pipe", "command": ["ffmpeg", *arguments]}})
    write_config(tmp_path, config)
    done = support(tmp_path, programs)
    assert done.returncode == 0, done.stderr
    (archive,) = tmp_path.glob("hydroear-support-unit-*.tar.gz")
    assert archive.name in done.stdout
    assert "selftest.json is not in it" in done.stderr
    assert_free_of_secrets(tmp_path, archive)
    files = unpacked(archive)
    assert "mqtt.passwort: unknown key" in files["config-problems.txt"]
    assert "etc/config.yaml:" in files["config-problems.txt"]
    assert "ffmpeg" in files["config.yaml"]
    assert "mqtt.url: bad value" in files["service.log"]
    assert "ffmpeg[2]: cannot open [removed]\n" in files["service.log"]


def test_a_machine_without_a_configuration_tells_of_itself(tmp_path: Path, programs: Path) -> None:
    done = support(tmp_path, programs, "--out", "unit.tar.gz")
    assert done.returncode == 0, done.stderr
    assert "no such file" in unpacked(tmp_path / "unit.tar.gz")["config-problems.txt"]


def test_of_a_long_journal_the_end_is_kept(tmp_path: Path, programs: Path) -> None:
    (programs / "journalctl").write_text("#!/bin/sh\nseq 1000000\necho the end\n")
    assert support(tmp_path, programs, "--out", "unit.tar.gz").returncode == 0
    log = unpacked(tmp_path / "unit.tar.gz")["service.log"]
    assert len(log) < MAX_PART_BYTES + 100
    assert log.startswith("[")
    assert log.endswith("the end\n")


def test_an_archive_that_cannot_be_written_is_an_error_in_one_line(tmp_path: Path, programs: Path) -> None:
    done = support(tmp_path, programs, "--out", tmp_path / "missing" / "unit.tar.gz", "--json")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("hydroear: error: ")
    assert "cannot be written: No such file or directory" in done.stderr
    assert "Traceback" not in done.stderr
