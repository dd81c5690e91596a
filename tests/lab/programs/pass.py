"""What Debian's snmpd does not tell of a switch, by its pass_persist protocol.

    python -SE pass.py alias|ether|received|sent|discards|speed|bridge|entities|sensors LIGHT.json

ifAlias, frame errors, octets (the kernel's: snmpd's own are up to 3 s old), what a port's queue dropped and
how fast it sends (both from its qdisc), the kernel's forwarding and spanning-tree tables, and light.

``LIGHT.json`` gives, by interface, rx_dbm and tx_dbm; it is read anew whenever it changes. Frame errors are
the kernel's receive errors: what a dirty link of the lab loses is counted there.
"""

import json
import random
import subprocess
import sys
import time
from pathlib import Path

NET = Path("/sys/class/net")
IF_INDEX = (1, 3, 6, 1, 2, 1, 2, 2, 1, 1)
ALIAS = (1, 3, 6, 1, 2, 1, 31, 1, 1, 1, 18)
FCS_ERRORS = (1, 3, 6, 1, 2, 1, 10, 7, 2, 1, 3)
DISCARDS = (1, 3, 6, 1, 2, 1, 2, 2, 1, 19)
SPEED = (1, 3, 6, 1, 2, 1, 31, 1, 1, 1, 15)
USUAL_MBPS = 10_000
RECEIVED, SENT = (1, 3, 6, 1, 2, 1, 31, 1, 1, 1, 6), (1, 3, 6, 1, 2, 1, 31, 1, 1, 1, 10)
BRIDGE_PORT, STP_STATE, LEARNED_AT, STATUS = (
    (1, 3, 6, 1, 2, 1, 17, 1, 4, 1, 2),
    (1, 3, 6, 1, 2, 1, 17, 2, 15, 1, 3),
    (1, 3, 6, 1, 2, 1, 17, 4, 3, 1, 2),
    (1, 3, 6, 1, 2, 1, 17, 4, 3, 1, 3),
)
STATES = {0: 1, 1: 3, 2: 4, 3: 5, 4: 2}  # the kernel's disabled, listening, learning, forwarding, blocking
LEARNED = 3
PHYSICAL, ALIASES, CHANGED = (
    (1, 3, 6, 1, 2, 1, 47, 1, 1, 1, 1),
    (1, 3, 6, 1, 2, 1, 47, 1, 3, 2, 1, 2),
    (1, 3, 6, 1, 2, 1, 47, 1, 4, 1, 0),
)
SENSOR = (1, 3, 6, 1, 2, 1, 99, 1, 1, 1)
CHASSIS, MODULE, PORT, SENSES = 3, 9, 10, 8
WATTS, AMPERES, CELSIUS = 6, 5, 8
NANO, MILLI, UNITS = 6, 8, 9
NOISE_DB = 0.03
FRESH_S, AT_ONCE_S = 1.0, 0.1


def ports():
    """Return ifIndex by name of the switch's ports."""
    return {path.name: int((path / "ifindex").read_text()) for path in sorted(NET.glob("Ethernet*"))}


def alias():
    return {
        (*ALIAS, i): ("string", (NET / name / "ifalias").read_text().strip()) for name, i in ports().items()
    }


def ether():
    errors = {name: int((NET / name / "statistics/rx_errors").read_text()) for name in ports()}
    return {(*FCS_ERRORS, i): ("counter", errors[name] % 2**32) for name, i in ports().items()}


def received():
    return octets(RECEIVED, "rx_bytes")


def sent():
    return octets(SENT, "tx_bytes")


def octets(column, what):
    """Return the kernel's octets; told seconds late, a full port would seem to carry more than it can."""
    counted = {name: int((NET / name / "statistics" / what).read_text()) for name in ports()}
    return {(*column, i): ("counter64", counted[name]) for name, i in ports().items()}


def queues():
    """Return what tc(8) says of each port's queue; a port that nobody narrowed has none."""
    told = subprocess.run(["tc", "-j", "-s", "qdisc", "show"], capture_output=True, check=True).stdout
    return {queue["dev"]: queue for queue in json.loads(told)}


def discards():
    told, found = queues(), ports()
    dropped = {name: told.get(name, {}).get("drops", 0) for name in found}
    return {(*DISCARDS, i): ("counter", dropped[name] % 2**32) for name, i in found.items()}


def speed():
    told, found = queues(), ports()
    rates = {name: told.get(name, {}).get("options", {}).get("rate") for name in found}
    return {
        (*SPEED, i): ("gauge", rates[name] * 8 // 10**6 if rates[name] else USUAL_MBPS)
        for name, i in found.items()
    }


def bridge():
    table, numbers = {}, {}
    for name, i in ports().items():
        port = NET / name / "brport"
        if port.exists():
            numbers[name] = int((port / "port_no").read_text(), 16)
            table[(*BRIDGE_PORT, numbers[name])] = ("integer", i)
            table[(*STP_STATE, numbers[name])] = ("integer", STATES[int((port / "state").read_text())])
    told = subprocess.run(["bridge", "-j", "fdb", "show", "dynamic"], capture_output=True, check=True).stdout
    for entry in json.loads(told):
        if entry["ifname"] in numbers:
            mac = tuple(int(octet, 16) for octet in entry["mac"].split(":"))
            table[(*LEARNED_AT, *mac)] = ("integer", numbers[entry["ifname"]])
            table[(*STATUS, *mac)] = ("integer", LEARNED)
    return table


def senses(name, light):
    """Return (what, type, scale, precision, value) of each sensor in a port's module."""
    said = light.get(name, {})

    def nanowatts(key, usual):
        dbm = said.get(key, usual)
        return max(0, round(1e6 * 10 ** ((dbm + random.gauss(0, NOISE_DB if dbm > -30 else 0)) / 10)))

    return [
        ("Rx Power", WATTS, NANO, 0, nanowatts("rx_dbm", -3.0)),
        ("Tx Power", WATTS, NANO, 0, nanowatts("tx_dbm", -1.0)),
        ("Temperature", CELSIUS, UNITS, 1, 350 + random.randint(-3, 3)),
        ("Bias Current", AMPERES, MILLI, 2, 3500 + random.randint(-20, 20)),
    ]


def entities():
    rows = {1: ("chassis", 0, CHASSIS, "chassis", "", "")}
    table = {}
    for name, i in ports().items():
        port, module = 1000 + i, 2000 + i
        rows[port] = (f"port {name}", 1, PORT, name, "", "")
        rows[module] = (
            f"transceiver of {name}",
            port,
            MODULE,
            f"{name} transceiver",
            f"SN{i:06d}",
            "LAB-10G-LR",
        )
        for n, (what, *_) in enumerate(senses(name, {}), 1):
            rows[10_000 + 10 * i + n] = (f"{name} {what}", module, SENSES, f"{name} {what}", "", "")
        table[(*ALIASES, port, 0)] = ("objectid", ".".join(map(str, ("", *IF_INDEX, i))))
    for number, (description, inside, kind, name, serial, model) in rows.items():
        table[(*PHYSICAL, 2, number)] = ("string", description)
        table[(*PHYSICAL, 4, number)] = ("integer", inside)
        table[(*PHYSICAL, 5, number)] = ("integer", kind)
        table[(*PHYSICAL, 7, number)] = ("string", name)
        table[(*PHYSICAL, 11, number)] = ("string", serial)
        table[(*PHYSICAL, 13, number)] = ("string", model)
    return table | {CHANGED: ("timeticks", 1)}


def sensors(light):
    table = {}
    for name, i in ports().items():
        for n, (_, *values) in enumerate(senses(name, light), 1):
            number = 10_000 + 10 * i + n
            for column, value in enumerate((*values, 1), 1):
                table[(*SENSOR, column, number)] = ("integer", value)
    return table


TABLES = {
    "alias": alias, "ether": ether, "received": received, "sent": sent, "discards": discards,
    "speed": speed, "bridge": bridge, "entities": entities,
}  # fmt: skip


class Answers:
    """A table that is made anew once in a while at most: a walk asks for a hundred of its rows."""

    def __init__(self, what, file):
        self.what, self.file, self.made, self.table, self.order = what, Path(file), 0.0, {}, []

    def fresh(self):
        if time.monotonic() - self.made > (AT_ONCE_S if self.what in ("received", "sent") else FRESH_S):
            if self.what == "sensors":
                self.table = sensors(json.loads(self.file.read_text()))
            else:
                self.table = TABLES[self.what]()
            self.order, self.made = sorted(self.table), time.monotonic()

    def get(self, oid):
        self.fresh()
        return oid if oid in self.table else None

    def getnext(self, oid):
        self.fresh()
        return next((known for known in self.order if known > oid), None)


def main():
    answers = Answers(*sys.argv[1:3])
    for line in sys.stdin:
        command = line.strip()
        if command == "PING":
            print("PONG", flush=True)
            continue
        if command not in ("get", "getnext"):
            print("NONE", flush=True)
            continue
        oid = tuple(int(part) for part in sys.stdin.readline().strip().strip(".").split("."))
        found = getattr(answers, command)(oid)
        if found is None:
            print("NONE", flush=True)
        else:
            kind, value = answers.table[found]
            print("." + ".".join(map(str, found)), kind, value, sep="\n", flush=True)


if __name__ == "__main__":
    main()
