"""A sensor of the box: plays raw PCM in real time, for ever, at the place in it that the machine's clock says.

So a restart changes nothing about what the pipe sounds like. It runs as a child of the daemon, in its sandbox, and
first tries what nobody in there may do; what came of that is in probe.json in the state folder.

Usage: player.py FILE (s16le, 16 kHz, a multiple of 0.1 s long)
"""

import ctypes
import errno
import json
import mmap
import os
import socket
import sys
import time
from pathlib import Path

BLOCK = 1600
NEWNET, NEWUSER = 0x40000000, 0x10000000


def attempts() -> dict[str, object]:
    """What each attempt came to: ``done``, or the error by its name of errno(3)."""
    libc = ctypes.CDLL(None, use_errno=True)

    def called(result: int) -> None:
        if result < 0:
            raise OSError(ctypes.get_errno(), "")

    state = os.environ["STATE_DIRECTORY"]
    tries = {
        "write state": lambda: Path(state, "probe").write_text("x"),
        "write tmp": lambda: Path("/tmp/probe").write_text("x"),
        "write etc": lambda: Path("/etc/hydroear/probe").write_text("x"),
        "write usr": lambda: Path("/usr/probe").write_text("x"),
        "write opt": lambda: Path("/opt/hydroear/probe").write_text("x"),
        "write var": lambda: Path("/var/log/probe").write_text("x"),
        "write sysctl": lambda: Path("/proc/sys/kernel/hostname").write_text("x"),
        "read home": lambda: list(Path("/home").iterdir()) and Path("/home/resident/secret").read_text(),
        "read root": lambda: list(Path("/root").iterdir()),
        "read process 1": lambda: Path("/proc/1/environ").read_bytes(),
        "raw socket": lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP),
        "packet socket": lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW),
        "netlink socket": lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW),
        "mount": lambda: called(libc.mount(b"none", b"/tmp", b"tmpfs", 0, None)),
        "new namespace": lambda: called(libc.unshare(NEWNET)),
        "new user": lambda: called(libc.unshare(NEWUSER)),
        "become root": lambda: os.setuid(0),
        "set clock": lambda: time.clock_settime(time.CLOCK_REALTIME, 0.0),
        "set-uid file": lambda: Path(state, "probe").chmod(0o4755),
        "writable code": lambda: mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC),
        "block device": lambda: os.mknod(f"{state}/device", 0o60600, os.makedev(8, 0)),
    }
    found: dict[str, object] = {}
    for name, attempt in tries.items():
        try:
            attempt()
            found[name] = "done"
        except OSError as error:
            found[name] = errno.errorcode[error.errno]
    status = dict(line.split(":\t", 1) for line in Path("/proc/self/status").read_text().splitlines() if ":\t" in line)
    return {**found, "uid": os.getuid(), **{key: status[key] for key in ("CapBnd", "CapEff", "NoNewPrivs", "Seccomp")}}


def play(content: bytes) -> None:
    """Write it in real time."""
    blocks = len(content) // (2 * BLOCK)
    number = int(time.monotonic() * 10)
    while True:
        begin = number % blocks * 2 * BLOCK
        sys.stdout.buffer.write(content[begin : begin + 2 * BLOCK])
        sys.stdout.buffer.flush()
        number += 1
        time.sleep(max(0.0, number / 10 - time.monotonic()))


Path(os.environ["STATE_DIRECTORY"], "probe.json").write_text(json.dumps(attempts()))
play(Path(sys.argv[1]).read_bytes())
