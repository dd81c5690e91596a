"""Tables that the store's tests write, and a process that writes them."""

import subprocess
import sys
import textwrap
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd

from correlator import frames

START = datetime(2026, 11, 1, 12, 0, tzinfo=UTC)
END = START + timedelta(days=1)


def counters(sequence: int, source: str = "leaf1", ports: int = 4) -> pd.DataFrame:
    """Return rows that tell whose they are and which: ``in_octets`` is the sequence."""
    at = START + timedelta(seconds=sequence)
    return frames.frame(
        "counters",
        (
            {"at": at, "device": source, "if_index": port, "if_name": f"e{port}", "in_octets": sequence}
            for port in range(ports)
        ),
    )


def run(code: str, *arguments: object) -> subprocess.Popen:
    """Return a process that runs the code, its arguments in ``sys.argv`` and its output readable by line."""
    program = textwrap.dedent(code)
    here = str(Path(__file__).parent)
    command = [sys.executable, "-c", f"import sys; sys.path.insert(0, {here!r})\n{program}"]
    return subprocess.Popen([*command, *map(str, arguments)], stdout=subprocess.PIPE, text=True)
