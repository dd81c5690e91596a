"""How long the map and the shares of a large fabric take, and how much memory: one core.

A three-tier Clos of 625 leaves in 25 pods, 39 cores to each of 25 planes: 100,000 directed links and
10,000 hosts, every cable told by LLDP from both ends. Then path sets for a million pairs of hosts.
Run: ``taskset -c 0 python bench/paths.py``.
"""

from __future__ import annotations

import json
import resource
import time
from collections.abc import Iterator
from datetime import UTC, datetime

import numpy as np
import pandas as pd

from correlator import frames
from correlator.engine.paths import find_paths
from correlator.engine.topology import build_map

PODS, LEAVES, PLANES, CORES, HOSTS = 25, 25, 25, 39, 16
PAIRS = 1_000_000
AT = datetime(2026, 5, 6, 10, 0, tzinfo=UTC)

End = tuple[str, str]


def wires() -> Iterator[tuple[End, End]]:
    """Yield the cables between switches."""
    for pod in range(PODS):
        for plane in range(PLANES):
            for leaf in range(LEAVES):
                yield (f"leaf{pod}-{leaf}", f"swp{HOSTS + plane}"), (f"agg{pod}-{plane}", f"swp{leaf}")
            for core in range(CORES):
                yield (f"agg{pod}-{plane}", f"swp{LEAVES + core}"), (f"core{plane}-{core}", f"swp{pod}")


def chassis(device: str) -> str:
    """Return a chassis id for a device."""
    digits = f"{abs(hash(device)) % 2**40:010x}"
    return ":".join(["02", *(digits[i : i + 2] for i in range(0, 10, 2))])


def tables() -> dict[str, pd.DataFrame]:
    """Return what switches and hosts would tell of it."""
    rows: dict[str, list[dict[str, object]]] = {name: [] for name in ("neighbors", "interfaces", "hosts")}
    devices: dict[str, str] = {}

    def port(end: End) -> dict[str, object]:
        devices.setdefault(end[0], chassis(end[0]))
        return {"at": AT, "device": end[0], "if_name": end[1], "if_index": int(end[1][3:]) + 1}

    for one, other in wires():
        for near, far in ((one, other), (other, one)):
            up = {"admin_status": "up", "oper_status": "up", "if_type": 6}
            rows["interfaces"].append(port(near) | up)
            heard = {"protocol": "lldp", "remote_chassis_id": chassis(far[0]), "remote_port_id": far[1]}
            rows["neighbors"].append(port(near) | heard)
    for pod in range(PODS):
        for leaf in range(LEAVES):
            for number in range(HOSTS):
                end = (f"leaf{pod}-{leaf}", f"swp{number}")
                rows["interfaces"].append(port(end) | {"oper_status": "up", "if_type": 6})
                name = f"host{pod}-{leaf}-{number}"
                rows["hosts"].append(
                    {
                        "at": AT,
                        "host": name,
                        "nic": "eth0",
                        "mac": chassis(name),
                        "lldp_chassis_id": devices[end[0]],
                        "lldp_port_id": end[1],
                    }
                )
    told = {name: frames.frame(name, some) for name, some in rows.items()}
    known = [{"at": AT, "device": name, "chassis_id": own} for name, own in devices.items()]
    return told | {"devices": frames.frame("devices", known), "cables": frames.empty("cables")}


def main() -> None:
    """Print the figures as JSON."""
    told = tables()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started, cpu = time.perf_counter(), time.process_time()
    fabric = build_map(told["neighbors"], told["hosts"], told["cables"], told["interfaces"], told["devices"])
    mapped, map_cpu = time.perf_counter(), time.process_time() - cpu
    hosts = sorted(told["hosts"]["host"])
    dice = np.random.default_rng(1)
    chosen = dice.integers(0, len(hosts), (PAIRS, 2))
    pairs = [(hosts[a], hosts[b]) for a, b in chosen.tolist()]
    ready, cpu = time.perf_counter(), time.process_time()
    found = find_paths(fabric.directed, hosts, pairs)
    done, paths_cpu = time.perf_counter(), time.process_time() - cpu
    some = np.flatnonzero(found.there.path_set >= 0)[:1000]
    total = found.sets.shares(found.there.path_set[some]).sum(axis=1)
    print(
        json.dumps(
            {
                "directed_links": len(fabric.directed),
                "hosts": len(hosts),
                "pairs": PAIRS,
                "map_s": round(mapped - started, 2),
                "paths_s": round(done - ready, 2),
                "map_cpu_s": round(map_cpu, 2),
                "paths_cpu_s": round(paths_cpu, 2),
                "path_sets": found.sets.segments.shape[0],
                "segments": found.sets.links.shape[0],
                "links_of_segments": found.sets.links.nnz,
                "switch_hops": sorted(set(np.round(total, 6).tolist())),
                "before_mb": before // 1024,
                "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
            }
        )
    )


if __name__ == "__main__":
    main()
