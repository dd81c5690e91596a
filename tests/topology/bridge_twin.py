"""BRIDGE-MIB from the kernel's own tables, as snmpd's pass_persist asks for it: a twin, for snmpd has none.

Serves dot1dBasePortIfIndex, dot1dStpPortState and dot1dTpFdbPort/-Status of bridge br0 in the network
namespace that it runs in. Standard library only: it runs beside snmpd.
"""

from __future__ import annotations

import json
import subprocess
import sys

BASE = (1, 3, 6, 1, 2, 1, 17)
STATES = {"disabled": 1, "blocking": 2, "listening": 3, "learning": 4, "forwarding": 5}

Oid = tuple[int, ...]


def told(*command: str) -> list[dict[str, object]]:
    answer = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    rows: list[dict[str, object]] = json.loads(answer or "[]")
    return [row for row in rows if row]


def values() -> dict[Oid, int]:
    """Return the whole subtree as it is now."""
    found: dict[Oid, int] = {}
    number = {}
    for link in told("ip", "-d", "-j", "link", "show", "master", "br0"):
        data = link["linkinfo"]["info_slave_data"]  # type: ignore[index]
        port = int(data["no"], 16)
        number[link["ifname"]] = port
        found[(*BASE, 1, 4, 1, 2, port)] = int(str(link["ifindex"]))
        found[(*BASE, 2, 15, 1, 3, port)] = STATES[data["state"]]
    for entry in told("bridge", "-j", "fdb", "show", "br", "br0"):
        port = number.get(entry["ifname"], 0)
        mac = tuple(int(part, 16) for part in str(entry["mac"]).split(":"))
        if port and not mac[0] & 1 and entry.get("state") != "permanent":
            found[(*BASE, 4, 3, 1, 2, *mac)] = port
            found[(*BASE, 4, 3, 1, 3, *mac)] = 3
    return found


def answer(oid: Oid, following: bool) -> str:
    """Return pass_persist's three lines for a get or a getnext, or its NONE."""
    known = values()
    if following:
        later = sorted(one for one in known if one > oid)
        if not later:
            return "NONE"
        oid = later[0]
    if oid not in known:
        return "NONE"
    return f".{'.'.join(map(str, oid))}\ninteger\n{known[oid]}"


def main() -> None:
    while line := sys.stdin.readline():
        word = line.strip()
        if word == "PING":
            print("PONG", flush=True)
        elif word in ("get", "getnext"):
            oid = tuple(int(part) for part in sys.stdin.readline().strip().strip(".").split("."))
            print(answer(oid, word == "getnext"), flush=True)
        else:
            print("NONE", flush=True)


if __name__ == "__main__":
    main()
