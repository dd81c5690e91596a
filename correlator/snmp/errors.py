"""What can go wrong between us and an SNMP agent; each message is one sentence with its remedy."""

from __future__ import annotations


class SnmpError(Exception):
    """A target could not be read. The message names the target and what to do about it."""


class AddressError(SnmpError):
    """The target's name leads to no address."""

    def __init__(self, target: object, reason: object) -> None:
        super().__init__(f"{target}: there is no such address ({reason}); check the name")


class NoAnswerError(SnmpError):
    """Nothing came back: not there, not listening, or the community is not the right one."""

    def __init__(self, target: object, tries: int, timeout_s: float, strange: int = 0) -> None:
        if strange:
            super().__init__(
                f"{target} answers, but not in SNMP that can be read ({strange} such datagrams); "
                "check the port and what listens there"
            )
            return
        times = "once" if tries == 1 else f"{tries} times"
        super().__init__(
            f"{target} did not answer (asked {times}, {timeout_s:g} s each); check the address, "
            "the community and which addresses the device lets in"
        )


class UserError(SnmpError):
    """The agent does not let this SNMPv3 user in (RFC 3414, section 3.2)."""

    def __init__(self, target: object, user: str, why: str) -> None:
        super().__init__(f"{target}: user {user}: {why}")


class RefusedError(SnmpError):
    """The agent answered with an error status (RFC 3416, section 3)."""

    def __init__(self, target: object, status: str) -> None:
        super().__init__(f"{target} refuses the request ({status}); check what this user may read there")


class BadAnswerError(SnmpError):
    """The agent answered something that does not fit the question."""

    def __init__(self, target: object, what: str) -> None:
        super().__init__(
            f"{target} gave an unusable answer ({what}); the device's software may need an update"
        )


class TooBigError(SnmpError):
    """The agent cannot fit the answer into one message (tooBig, RFC 3416), however little is asked."""

    def __init__(self, target: object) -> None:
        super().__init__(f"{target} finds even one value too big for a message; raise its message size")
