"""What the figures were measured on."""

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
