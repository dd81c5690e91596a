"""The poll set through Debian's prometheus-snmp-exporter: with_exporter.py SWITCHES ROUNDS PORT."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from poll_set import COLUMNS, SENSOR, VALUES, address, memory_of, spent_by

METRIC = """  - name: m{number}
    oid: {oid}
    type: gauge
    help: a column
    indexes:
    - labelname: index
      type: gauge
"""


def configuration() -> str:
    """Return a module that walks the 17 columns."""
    columns = [*COLUMNS, SENSOR]
    walks = "".join(f"  - {oid}\n" for oid in columns)
    metrics = "".join(METRIC.format(number=number, oid=oid) for number, oid in enumerate(columns))
    return f"farm:\n  walk:\n{walks}  metrics:\n{metrics}  version: 2\n  auth:\n    community: public\n"


def main(switches: int, rounds: int, port: int) -> None:
    """Scrape each switch over HTTP, one after another."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        http = probe.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "snmp.yml"
        file.write_text(configuration())
        process = subprocess.Popen(
            ["prometheus-snmp-exporter", f"--config.file={file}", f"--web.listen-address=127.0.0.1:{http}"],
            stderr=subprocess.DEVNULL,
        )
        try:
            time.sleep(1.5)
            before, got = spent_by(process.pid), 0
            for number in [*range(switches)] * rounds:
                url = f"http://127.0.0.1:{http}/snmp?module=farm&target={address(number)}:{port}"
                with urllib.request.urlopen(url, timeout=30) as answer:
                    got += len(re.findall(rb"^m\d+\{", answer.read(), re.MULTILINE))
            cpu, memory = spent_by(process.pid) - before, memory_of(process.pid)
        finally:
            process.terminate()
            process.wait()
    assert got == switches * rounds * VALUES, got
    print(json.dumps({"vb": got, "cpu": cpu, "rss_mb": memory}))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:4]))
