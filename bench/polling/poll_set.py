"""What each contender is to read of each switch: 16 columns of 64 ports and 128 sensors, 1,152 values."""

from __future__ import annotations

from pathlib import Path

COLUMNS = [
    *(f"1.3.6.1.2.1.2.2.1.{n}" for n in (8, 13, 14, 19, 20)),
    *(f"1.3.6.1.2.1.10.7.2.1.{n}" for n in (2, 3, 18)),
    *(f"1.3.6.1.2.1.31.1.1.1.{n}" for n in range(6, 14)),
]
SENSOR = "1.3.6.1.2.1.99.1.1.1.4"
VALUES = 16 * 64 + 128


def address(number: int) -> str:
    """Return the farm's switch of that number."""
    return f"127.1.{number >> 8}.{number & 255}"


def spent_by(pid: int) -> float:
    """Return the CPU seconds of another process, to 10 ms."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def memory_of(pid: int) -> float:
    """Return the most memory that another process had resident, MB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))
