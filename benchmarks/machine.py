"""What the figures were measured on."""

import os
import platform
from pathlib import Path


def processor() -> str:
    """The processor's name and how many there are."""
    facts = Path("/proc/cpuinfo")
    lines = facts.read_text(encoding="utf-8").splitlines() if facts.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{len(names)} x {names[0]}" if names else platform.processor()


def described() -> str:
    """Return the processor, the system and how busy the machine is."""
    load = Path("/proc/loadavg")
    busy = f", load {load.read_text(encoding='ascii').split()[0]} before" if load.exists() else ""
    return f"{processor()}, {platform.system()} {platform.release()}{busy}"


def cpu_seconds(pid: int) -> float:
    """Return the processor time that a process has used; 0 where the system does not tell (it is Linux's /proc)."""
    stat = Path(f"/proc/{pid}/stat")
    if not stat.exists():
        return 0.0
    fields = stat.read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")  # utime and stime, proc(5)


def resident_bytes(pid: int) -> int:
    """Return the memory that a process has in use; 0 where the system does not tell."""
    statm = Path(f"/proc/{pid}/statm")
    return int(statm.read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE") if statm.exists() else 0
