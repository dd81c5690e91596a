"""Ten million values over a bad network: faults.py [SWITCHES ROUNDS]

The farm loses one in ten replies, sends each twice and answers later than the client waits. Every switch's
counters begin at a number of their own and move at a known pace: between two rounds each must have moved by
no less than nothing and no more than that. Prints wrong, missing and all values, retries and refusals.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
from poll_set import COLUMNS, SENSOR, VALUES, address

from correlator.snmp import wire
from correlator.snmp.bulk import Asked, Exchange
from correlator.snmp.kinds import ANY, NUMBER
from correlator.snmp.patterns import Cell, Line
from correlator.snmp.plan import Plan, gets, table
from correlator.snmp.target import parse_oid

SHARED = Path(os.environ.get("CORRELATOR_SHARED", Path(__file__).parents[3] / "shared"))
FARM = ("-l", "10", "-u", "100", "-d", "60", "-x", "3000")
TIMEOUT_S, RETRIES = 0.05, 12
UPTIME = parse_oid("1.3.6.1.2.1.1.3.0")
WIDE_RATES = {6: 1.25e9, 10: 1.25e9} | {
    n: 1e5 * n for n in (7, 8, 9, 11, 12, 13)
}  # most per second, by column
SLACK_S = 2.0  # of the farm's answers on their way


def plan() -> Plan:
    """Return the poll set as a plan."""
    columns = [parse_oid(column) for column in COLUMNS]
    lines = [
        Line((row,), row - 1, tuple(Cell(c, 1 + (row - 1) * 16 + n, NUMBER) for n, c in enumerate(columns)))
        for row in range(1, 65)
    ]
    sensor = parse_oid(SENSOR)
    sensors = [Line((1000 + n,), -1, (Cell(sensor, 1025 + n - 1, ANY),)) for n in range(1, 129)]
    return Plan(b"public", (Cell(UPTIME, 0),), table(lines, 50) + gets(sensors, 50), 1 + VALUES, 64)


def most() -> np.ndarray:
    """Return how fast each value of a switch may grow, per second."""
    rates = [0.0 if n == 0 else 3.0 if n < 8 else WIDE_RATES[n - 2] for n in range(16)]
    return np.array([0.0, *(rates * 64), *([np.inf] * 128)])


def main(switches: int, rounds: int) -> None:
    """Poll again and again and compare each round with the one before."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "farm"
        source = SHARED / "bench" / "snmpfarm.c"
        subprocess.run(["gcc", "-O3", "-march=native", "-w", "-o", program, source], check=True)
        farm = subprocess.Popen([program, "-p", str(port), *FARM], stderr=subprocess.DEVNULL)
        try:
            time.sleep(0.5)
            print(json.dumps(compared(switches, rounds, port)))
        finally:
            farm.terminate()
            farm.wait()


def compared(switches: int, rounds: int, port: int) -> dict[str, object]:
    """Return the counts of so many rounds."""
    known, limit = plan(), most()
    places = [wire.address(socket.AF_INET, (address(n), port)) for n in range(switches)]
    asked = [Asked(known, place, TIMEOUT_S, RETRIES, 10_000, at_once=2) for place in places]
    before, began, seen = None, 0.0, np.zeros(switches, dtype=bool)
    refused: Counter[str] = Counter()
    values = wrong = missing = retries = requests = 0
    for _ in range(rounds):
        now = time.monotonic()
        outcome = Exchange(asked).run()
        told = outcome.values.reshape(switches, -1)
        whole = outcome.why == 0
        missing += int((~whole).sum()) * VALUES
        values += int(whole.sum()) * VALUES
        sensors = told[whole][:, 1025:].view(np.int64)
        wrong += int(((sensors < -2600) | (sensors > -2400)).sum())
        wrong += int((told[whole][:, 1:1025:16] != 1).sum())  # ifOperStatus
        if before is not None:
            grown = (told - before).view(np.int64).astype(float)
            bound = limit * (time.monotonic() - began + SLACK_S)
            bad = ((grown < 0) | (grown > bound)) & np.isfinite(limit)
            wrong += int(bad[whole & seen][:, 1:].sum())
        before, began, seen = told, now, whole
        refused += outcome.refused
        retries += int(outcome.retries.sum())
        requests += int(outcome.requests.sum())
    return {
        "values": values,
        "wrong": wrong,
        "missing": missing,
        "requests": requests,
        "retries": retries,
        "refused": dict(refused),
    }


if __name__ == "__main__":
    main(*(map(int, sys.argv[1:3]) if len(sys.argv) > 2 else (250, 36)))
