"""A switch of the lab: a real snmpd and lldpd in its namespace, light from a file."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from lab_machine import Machine, netns, run
from lab_plan import MANAGEMENT, Plan

COMMUNITY = "a-community-of-the-lab"
USER, AUTH, PRIV = "lab", "authentication-of-the-lab", "privacy-of-the-lab"
PROGRAMS = Path(__file__).parent / "programs"
PASSED = {  # where the program's answers stand in the tree, over or beside net-snmp's own
    "alias": ".1.3.6.1.2.1.31.1.1.1.18",
    "ether": ".1.3.6.1.2.1.10.7.2.1.3",
    "received": ".1.3.6.1.2.1.31.1.1.1.6",
    "sent": ".1.3.6.1.2.1.31.1.1.1.10",
    "discards": ".1.3.6.1.2.1.2.2.1.19",
    "speed": ".1.3.6.1.2.1.31.1.1.1.15",
    "bridge": ".1.3.6.1.2.1.17",
    "entities": ".1.3.6.1.2.1.47.1",
    "sensors": ".1.3.6.1.2.1.99.1",
}
HEARS_EVERY_S = 3


class Switch:
    """One switch; ``start`` and ``end`` its daemons, ``light`` sets what its modules see."""

    def __init__(self, machine: Machine, plan: Plan, name: str) -> None:
        self.name = name
        self._machine, self._plan = machine, plan
        self._folder = machine.home / name
        self._light: dict[str, dict[str, float]] = {}

    def start(self) -> None:
        self._folder.mkdir(mode=0o755, exist_ok=True)
        self._shine()
        self.start_snmpd()
        start_lldpd(self._machine, self._plan, self.name, "-x", "-X", self._folder / "agentx")

    def start_snmpd(self) -> None:
        passed = [
            f"pass_persist {oid} {sys.executable} -SE {PROGRAMS}/pass.py {what} {self._folder}/light.json"
            for what, oid in PASSED.items()
        ]
        lines = [
            f"agentAddress udp:{self._plan.management(self.name)}:161",
            "master agentx",
            f"agentXSocket unix:{self._folder}/agentx",
            "agentXPerms 0777 0777",
            f"rocommunity {COMMUNITY} {MANAGEMENT}.0/24",
            f"createUser {USER} SHA-256 {AUTH} AES {PRIV}",
            f"rouser {USER} authPriv",
            f"sysName {self.name}",
            "sysLocation the lab",
            *passed,
        ]
        (self._folder / "snmpd.conf").write_text("\n".join(lines) + "\n")
        command = ["snmpd", "-f", "-Lf", self._folder / "snmpd.log", "-C", "-c", self._folder / "snmpd.conf"]
        command += ["-p", self._folder / "snmpd.pid", "-I", "-smux"]
        state = {"SNMP_PERSISTENT_DIR": str(self._folder / "state"), "MIBS": ""}
        enter = ["ip", "netns", "exec", netns(self.name)]
        self._machine.start(f"{self.name}-snmpd", [*enter, *command], env=os.environ | state)

    def reboot(self) -> None:
        """Start snmpd again: its uptime begins at zero."""
        self._machine.end(f"{self.name}-snmpd")
        self.start_snmpd()

    def light(self, if_name: str, **levels: float) -> None:
        """Set levels (rx_dbm, tx_dbm) of a port's module; without any, as they were at first."""
        self._light[if_name] = levels
        self._shine()

    def _shine(self) -> None:
        file = self._folder / "light.json"
        file.with_suffix(".new").write_text(json.dumps(self._light))
        file.with_suffix(".new").replace(file)


def start_lldpd(machine: Machine, plan: Plan, device: str, *flags: str | Path) -> None:
    """Start lldpd in a device's namespace; its control socket is DEVICE/lldpd."""
    folder = machine.home / device
    folder.mkdir(mode=0o755, exist_ok=True)
    names = ",".join(name for name, _ in plan.ports(device))
    (folder / "lldpd.conf").write_text(
        f"configure system hostname {device}\nconfigure system interface pattern {names}\n"
        f"configure system ip management pattern {plan.management(device)}\n"
        f"configure lldp portidsubtype ifname\nconfigure lldp tx-interval {HEARS_EVERY_S}\n"
    )
    command = [
        "lldpd",
        "-d",
        "-u",
        folder / "lldpd",
        "-O",
        folder / "lldpd.conf",
        *flags,
        "-S",
        f"{device} of the lab",
    ]
    machine.start(f"{device}-lldpd", ["ip", "netns", "exec", netns(device), *command])


def neighbours(machine: Machine, device: str) -> dict[str, str]:
    """Return the name of the system that each port hears."""
    answer = run(
        "lldpcli", "-u", machine.home / device / "lldpd", "-f", "json0", "show", "neighbors", check=False
    )
    from correlator.agent.addresses import heard

    try:
        return {port: one.system_name or "" for port, one in heard(json.loads(answer)).items()}
    except ValueError:
        return {}
