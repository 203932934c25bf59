"""A network of its own for a benchmark: nothing but loopback, where ports 25 and 53 may be bound without root."""

import fcntl
import os
import socket
import struct
import subprocess
import sys
import tempfile

from benchmarks import contestants

IS_INSIDE = "--inside"
DNS_PORT, SMTP_PORT = 53, 25
SIOCSIFFLAGS, IFF_UP = 0x8914, 0x1


def enter() -> None:
    """Start this program again in a network of its own: nothing but loopback, where we may bind port 25 and 53.

    The peers ask the system's resolver and port 25 and cannot be told otherwise. No root is needed (user namespaces).
    """
    unshare = contestants.program("unshare")
    sys.stdout.flush()
    os.execv(unshare, [unshare, "-rnm", sys.executable, sys.argv[0], *sys.argv[1:], IS_INSIDE])  # noqa: S606 - we become it, so that signals reach it


def settle_in() -> None:
    """Bring loopback up and put a resolv.conf in place that names the lab; both end with this process."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh", b"lo", IFF_UP))
    with tempfile.NamedTemporaryFile("w", suffix=".resolv.conf") as resolv_conf:
        resolv_conf.write("nameserver 127.0.0.1\n")
        resolv_conf.flush()
        subprocess.run([contestants.program("mount"), "--bind", resolv_conf.name, "/etc/resolv.conf"], check=True)
