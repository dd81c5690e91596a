"""The poll set through Debian's collectd, BulkSize 64, dropped: with_collectd.py SWITCHES ROUNDS PORT."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from poll_set import COLUMNS, SENSOR, VALUES, address, memory_of, spent_by

INTERVAL_S = 5


def configuration(folder: str, switches: int, port: int) -> str:
    """Return a configuration that polls all switches each INTERVAL_S."""
    columns = " ".join(f'"{oid}"' for oid in COLUMNS)
    types = "".join(f"source{number}:GAUGE:U:U, " for number in range(len(COLUMNS))).rstrip(", ")
    Path(folder, "types.db").write_text(f"columns {types}\ngauge value:GAUGE:U:U\n")
    hosts = "".join(
        f'  <Host "{number}">\n    Address "{address(number)}:{port}"\n    Version 2\n'
        f'    Community "public"\n'
        f'    Collect "columns" "sensors"\n    Interval {INTERVAL_S}\n    BulkSize 64\n  </Host>\n'
        for number in range(switches)
    )
    return (
        f'BaseDir "{folder}"\nPIDFile "{folder}/pid"\nTypesDB "{folder}/types.db"\nInterval {INTERVAL_S}\n'
        "ReadThreads 5\nWriteThreads 1\nLoadPlugin snmp\n"
        '<Chain "PreCache">\n  Target "stop"\n</Chain>\nPreCacheChain "PreCache"\n<Plugin snmp>\n'
        f'  <Data "columns">\n    Type "columns"\n    Table true\n    Values {columns}\n  </Data>\n'
        f'  <Data "sensors">\n    Type "gauge"\n    Table true\n    Values "{SENSOR}"\n  </Data>\n'
        f"{hosts}</Plugin>\n"
    )


def main(switches: int, rounds: int, port: int) -> None:
    """Let it poll so many times and count what its process cost from start to end."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "collectd.conf"
        file.write_text(configuration(folder, switches, port))
        process = subprocess.Popen(
            ["/usr/sbin/collectd", "-f", "-C", str(file)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            time.sleep(INTERVAL_S * 0.7)  # the first round, which opens sessions, does not count
            before = spent_by(process.pid)
            time.sleep(INTERVAL_S * rounds)
            cpu, memory = spent_by(process.pid) - before, memory_of(process.pid)
        finally:
            process.terminate()
            process.wait()
    print(json.dumps({"vb": switches * rounds * VALUES, "cpu": cpu, "rss_mb": memory}))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:4]))
