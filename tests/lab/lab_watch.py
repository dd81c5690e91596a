"""What is expected of the service, story by story: the right line, its clear, and no other."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from certificates import certificates
from lab_machine import until
from lab_plan import Cable
from lab_service import ERR, PERIOD_S, Service, Told
from rsyslog import rsyslogd

from correlator.commands.judge import matches
from correlator.model import Incident, Verdict

SETTLES_S = 15  # LLDP is heard, the first polls are in
STARTS_S = 8
MEASURED_S = 47  # three slices of the past
OPENS_S = 120.0  # on a machine that is busy with other things; what it took is printed
CLEARS_S = 300.0
BUSY = 4
AMONG = re.compile(r"(\d+) errors among ([\d.e+]+)")


def lost(cable: Cable, receiver: str, cause: str = "dirty_connector") -> dict[str, Any]:
    """Return the truth about a link that loses what ``receiver`` should receive."""
    link, end = cable.link, cable.end(receiver)
    return {
        "kind": "link",
        "link": link,
        "direction": "a_to_b" if link.b == end else "b_to_a",
        "root_cause": cause,
        "actions": [{"device": end.device, "if_name": end.if_name}],
    }


def full(cable: Cable, sender: str) -> dict[str, Any]:
    """Return the truth about a link whose egress at ``sender`` drops what does not fit."""
    link, end = cable.link, cable.end(sender)
    return {
        "kind": "link",
        "link": link,
        "direction": "a_to_b" if link.a == end else "b_to_a",
        "root_cause": "congestion",
        "actions": [{"device": end.device, "if_name": end.if_name}],
    }


def slow(service: str) -> dict[str, Any]:
    """Return the truth about a service that is slow by itself."""
    return {
        "kind": "service",
        "link": None,
        "direction": None,
        "root_cause": "service",
        "subject": {"service": service},
    }


def starved(host: str, service: str) -> tuple[dict[str, Any], ...]:
    """Return what may be said of a host without processor time: the host is slow, or its one service is."""
    late = {**slow(service), "kind": "host", "root_cause": "host", "subject": {"host": host}}
    return slow(service), late


class Watch:
    """Looks at the service's incidents and at the receiver's lines.

    ``mine`` are those that were expected; ``owed`` are those whose cause was mended, with what hurt: their
    clears come while the next stories are told, on other links.
    """

    def __init__(self, service: Service) -> None:
        self.service = service
        self.mine: set[str] = set()
        self.owed: list[tuple[Incident, str]] = []

    def alive(self) -> None:
        assert self.service.process.poll() is None, self.service.log[-3000:]

    def opened(
        self, story: str, *truths: dict[str, Any], visible: Callable[[], bool] = lambda: True
    ) -> Incident:
        """Wait for the incident that says the truth (one of them), and for its line; return it.

        Prints how long it took since ``visible``: since there was enough to be seen.
        """
        seen: list[float] = []

        def told() -> bool:
            if not seen and visible():
                seen.append(time.monotonic())
            incident = self._true(truths)
            return incident is not None and bool(self._lines(incident.id, "opened"))

        self.until(told, f"{story}: {' or '.join(map(_plain, truths))}", OPENS_S)
        took = time.monotonic() - seen[0] if seen else 0.0
        incident = self._true(truths)
        assert incident is not None
        self.mine.add(incident.id)
        (line,) = self._lines(incident.id, "opened")
        assert line.fields["root_cause"] in {truth["root_cause"] for truth in truths}, line.text
        periods = f"{took:.0f} s, {took / PERIOD_S:.1f} periods"
        print(f"\n{story}: told after {periods} (severity {line.severity}): {line.text[:160]}")
        return incident

    def cleared(self, incident: Incident, story: str) -> None:
        """Wait for the one line that tells of the end of an incident."""
        began = time.monotonic()
        self.until(lambda: self._lines(incident.id, "cleared"), f"{story}: a clear", CLEARS_S)
        assert len(self._lines(incident.id, "cleared")) == 1
        print(f"\n{story}: cleared {time.monotonic() - began:.0f} s on")

    def settle(self) -> None:
        """Wait for the clears that are owed."""
        while self.owed:
            self.cleared(*self.owed.pop(0))

    def calm(self) -> None:
        """Check that nobody was alarmed but by what was expected."""
        lines = self.service.lines()
        alarms = [line for line in lines if line.severity <= ERR and line.incident not in self.mine]
        assert not alarms, [line.text for line in alarms]

    def calm_for(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.alive()
            time.sleep(1)
        self.calm()

    def until(self, true: Callable[[], Any], what: str, seconds: float) -> None:
        """Wait until something is true.

        ``seconds`` are those of a machine that keeps up: a busy one, where cycles are missed, gets as many
        cycles, in at most ``BUSY`` times as long. Raises AssertionError.
        """
        begun, due = time.monotonic(), self.service.cycles() + seconds / PERIOD_S

        def looked() -> bool:
            self.alive()
            late = time.monotonic() > begun + seconds and self.service.cycles() >= due
            return bool(true()) or late

        with contextlib.suppress(TimeoutError):
            until(looked, what, BUSY * seconds)
        if not true():
            told = [_said(one.verdict) for one in self.service.incidents()]
            lines = [line.text[:200] for line in self.service.lines()]
            took = time.monotonic() - begun
            raise AssertionError(f"waited {took:.0f} s for {what}; open: {told}; lines: {lines}")

    def now(self, incident: Incident) -> Verdict:
        """Return what an open incident says by now."""
        return next(one.verdict for one in self.service.incidents() if one.id == incident.id)

    def _true(self, truths: Sequence[dict[str, Any]]) -> Incident | None:
        said, wanted = self.service.incidents(), [_json(truth) for truth in truths]
        true = (one for one in said for truth in wanted if matches(truth, one.verdict.to_json()))
        return next(true, None)

    def _lines(self, incident: str, event: str) -> list[Told]:
        return [line for line in self.service.lines() if (line.incident, line.event) == (incident, event)]


@contextlib.contextmanager
def watching(lab: Any, folder: Path) -> Iterator[Watch]:
    """Give the service before a lab and rsyslogd behind it; rsyslogd's files are in ``folder``.

    A clean minute has been measured, and stands for the past.
    """
    with rsyslogd(folder, certificates(folder)) as receiver:
        lab.machine.note(int((folder / "pid").read_text()), "rsyslogd")
        service = Service(lab, receiver)
        service.start()
        watch = Watch(service)
        watch.calm_for(SETTLES_S)
        since = moment()
        watch.calm_for(MEASURED_S)
        assert service.remember(since) >= 3
        assert service.end() == 0
        service.start()  # it looks at the past once an hour
        watch.calm_for(STARTS_S)
        yield watch
        assert service.end() == 0
        assert "Traceback" not in service.log


def share_lost(verdict: Verdict) -> float:
    """Return the share of packets that a verdict says is lost."""
    texts = (evidence.text for evidence in verdict.evidence if evidence.kind == "errors")
    found = AMONG.search(next(texts))
    assert found is not None, verdict.evidence
    return float(found[1]) / float(found[2])


def moment() -> datetime:
    return datetime.now(UTC)


def _json(truth: dict[str, Any]) -> dict[str, Any]:
    link = truth["link"]
    ends = (
        None
        if link is None
        else {side: {"device": e.device, "if_name": e.if_name} for side, e in (("a", link.a), ("b", link.b))}
    )
    return {**truth, "link": ends}


def _said(verdict: Verdict) -> str:
    return f"{verdict.kind} {verdict.link} {verdict.direction} {verdict.root_cause} {verdict.subject}"


def _plain(truth: dict[str, Any]) -> str:
    return f"{truth['root_cause']} {truth['link'] or truth['subject']} {truth['direction'] or ''}"
