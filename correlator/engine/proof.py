"""Whether what a verdict is about was measured and is well again: silence proves nothing."""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace

import pandas as pd
from scipy.stats import gamma

from correlator.engine.settings import Params
from correlator.engine.status import Status
from correlator.engine.trouble import silent_targets
from correlator.engine.view import View
from correlator.model import Direction, PairImpact, Verdict

SURE = 0.95
"""How sure the bound on what is still lost is."""
LEAST_EXPECTED = 1.0
"""Events that the fault would have made by now, below which their absence shows nothing."""


@dataclass(frozen=True)
class Proof:
    """Answers from one cycle's view."""

    view: View
    params: Params

    def healthy(self, verdict: Verdict) -> bool | None:
        """Return whether what the verdict is about was found well; None where it was not measured."""
        if verdict.root_cause == "link_down" and verdict.link is not None:
            return self._up(verdict)
        if verdict.link is not None or verdict.root_cause == "shared_component":
            found = (*map(self._link, directed(verdict)), self._pairs(verdict))
            return False if False in found else None if None in found else True
        return self._pairs(verdict) if verdict.pairs else self._subject(verdict)

    def words(self, verdict: Verdict) -> str:
        """Return what shows that it is well, before and after: counters, light, pairs; empty for none."""
        if verdict.root_cause == "link_down" and verdict.link is not None:
            shut = [str(end) for end in (verdict.link.a, verdict.link.b) if self._status.shut(end)]
            return f"shut on purpose at {' and '.join(shut)}" if shut else "up at both ends"
        parts = (self._counted(verdict), self._light(verdict), self._pair_words(verdict))
        return "; ".join(part for part in parts if part)

    def _counted(self, verdict: Verdict) -> str:
        """Return the rate that convicted a link and what it is now, with the bound that it is below."""
        rows = self._rows(verdict) if verdict.link is not None else self.view.health.iloc[:0]
        what, count, of = _counters(verdict)
        before = _value(verdict, what)
        if rows.empty or before is None or not rows.iloc[0][of] > 0:
            return ""
        row = rows.iloc[0]
        own = row[count] - (row["passed_on"] if what == "errors" else 0.0)
        most = float(gamma.ppf(SURE, own + 1.0)) / row[of]
        return (
            f"{what} {before:.2g} of packets before, {own:.0f} of {row[of]:,.0f} now "
            f"({100 * SURE:.0f} % sure below {most:.2g})"
        )

    def _light(self, verdict: Verdict) -> str:
        rows = self._rows(verdict) if verdict.link is not None else self.view.health.iloc[:0]
        before = _value(verdict, "light")
        if rows.empty or before is None:
            return ""
        lane = self.view.scene.light.loc[rows.index[0]]
        if not lane["known"] or pd.isna(lane["loss_change_db"]):
            return ""
        return f"light lost {before:+.1f} dB before, {lane['loss_change_db']:+.1f} dB now"

    def _pair_words(self, verdict: Verdict) -> str:
        """Return how much slower the worst pair was and is, its response and its round trip now."""
        if not verdict.pairs:
            return ""
        worst = max(verdict.pairs, key=lambda pair: pair.slower_by or 0.0)
        now = self.view.symptoms.loc[self._groups(worst)]
        now = now[now["ratio"].notna()]
        if now.empty or not worst.slower_by:
            return ""
        row = now.sort_values("ratio", kind="stable").iloc[-1]
        return (
            f"{worst.src_name or worst.src} -> {worst.dst_name or worst.dst} {worst.slower_by:.1f}x usual "
            f"before, {row['ratio']:.1f}x ({row['ratio_low']:.1f} to {row['ratio_high']:.1f}) now: "
            f"response {row['response_ms']:.3g} ms{round_trip(row)}"
        )

    def unseen(self, verdict: Verdict) -> str:
        """Return what is in the way of measuring what the verdict is about."""
        if verdict.link is None:
            return "its pairs are idle or gone" if verdict.pairs else ""
        if verdict.root_cause == "link_down":
            return f"the ports of {verdict.link} are not read"
        end = verdict.link.receiver(verdict.direction or "a_to_b")
        if self._rows(verdict).empty:
            return f"{verdict.link} is no longer on the map"
        if self._link(verdict) is None:
            return self._unread(verdict, f"{end}")
        return "its pairs are idle or gone"

    def _unread(self, verdict: Verdict, end: str) -> str:
        _, _, of = _counters(verdict)
        if pd.isna(self._rows(verdict).iloc[0][of]):
            return f"the counters of {end} are not read"
        return f"too few packets at {end} to tell"

    def _up(self, verdict: Verdict) -> bool | None:
        """Return whether a dead link is up again, or shut on purpose, which is no fault."""
        assert verdict.link is not None
        if self._status.shut(verdict.link.a) or self._status.shut(verdict.link.b):
            return True
        return self._status.up(verdict.link)

    @functools.cached_property
    def _status(self) -> Status:
        return Status(self.view.tables["interfaces"])

    def _link(self, verdict: Verdict) -> bool | None:
        """Return whether the counter that convicts the link is quiet; None where it does not tell.

        It does not where it was not read, and where so few packets came that the fault would hardly
        have hit one. A link that no counter watches is judged by its pairs alone.
        """
        rows = self._rows(verdict)
        if rows.empty:
            return None
        row = rows.iloc[0]
        what, _, of = _counters(verdict)
        flag, limit = (
            ("dropping", self.params.health.sick_discard_rate)
            if what == "discards"
            else ("sick", self.params.health.sick_error_rate)
        )
        rate = _value(verdict, what) or 0.0
        if row[flag]:
            return False
        if rate >= limit and verdict.root_cause != "silent_drop":
            return True if rate * row[of] >= LEAST_EXPECTED else None  # NaN where it was not read
        if verdict.pairs:
            return True
        return True if self.view.scene.light.at[rows.index[0], "known"] else None

    def _rows(self, verdict: Verdict) -> pd.DataFrame:
        assert verdict.link is not None
        health = self.view.health
        end = verdict.link.receiver(verdict.direction or "a_to_b")
        return health[(health["receiver_device"] == end.device) & (health["receiver_if_name"] == end.if_name)]

    def _pairs(self, verdict: Verdict) -> bool | None:
        """Return whether the groups of the hurt pairs that can still be seen are no longer slow.

        Containers come and go: the groups are found by the services of the pairs. None where none of
        them was measured.
        """
        if not verdict.pairs:
            return True
        table = self.view.symptoms
        hurt = self._groups(*verdict.pairs)
        watched = table.loc[hurt]
        watched = watched[watched["usual_retransmissions"].notna() | watched["usual_response_ms"].notna()]
        return not bool(watched["slow"].any()) if len(watched) else None

    def _groups(self, *pairs: PairImpact) -> list[int]:
        """Return the groups (rows of symptoms) that these container pairs belong or belonged to."""
        containers = self.view.tables["containers"].drop_duplicates("container_id", keep="last")
        services = containers["service"].fillna(containers["name"])
        known = zip(containers["container_id"], containers["host"], services, strict=True)
        place = {container: (host, service) for container, host, service in known}
        hurt = set()
        for pair in pairs:
            if pair.src in place and pair.dst in place:
                (src_host, src_service), (dst_host, dst_service) = place[pair.src], place[pair.dst]
                hurt.add((src_host, dst_host, src_service, dst_service))
        groups = self.view.symptoms[["src_host", "dst_host", "src_service", "dst_service"]]
        return [row for row, group in enumerate(groups.itertuples(index=False, name=None)) if group in hurt]

    def _subject(self, verdict: Verdict) -> bool | None:
        """Return whether the map or device that a notice is about is well; None where it was not asked."""
        kinds = {evidence.kind for evidence in verdict.evidence}
        if "telemetry" in kinds:
            polls = self.view.tables["polls"]
            if verdict.subject.device is None:  # the one for many
                return len(polls) > 0 and len(silent_targets(polls)) <= self.params.most_silent
            mine = polls[polls["target"] == verdict.subject.device].sort_values("at", kind="stable")
            return bool(mine["ok"].iloc[-1]) if len(mine) else None
        if "drift" in kinds:
            place = (verdict.subject.device, verdict.subject.if_name)
            optics = self.view.tables["optics"][["device", "if_name"]]
            return True if place in set(optics.itertuples(index=False, name=None)) else None
        if "topology" in kinds:
            return True if len(self.view.tables["neighbors"]) else None
        return None


def directed(verdict: Verdict) -> list[Verdict]:
    """Return the verdict once for each directed link that it convicts."""
    named = [(one.link, one.direction) for one in verdict.candidates if one.link is not None]
    if verdict.link is not None:
        named = [(verdict.link, verdict.direction)]
    ways: dict[Direction | None, tuple[Direction | None, ...]] = {"both": ("a_to_b", "b_to_a")}
    return [
        replace(verdict, link=link, direction=way) for link, told in named for way in ways.get(told, (told,))
    ]


def round_trip(row: pd.Series) -> str:
    """Return the pair's smallest round trip now, and its usual one, as far as they are known."""
    now, usual = row["min_rtt_us"], row["usual_min_rtt_us"]
    if pd.isna(now):
        return ""
    told = f", round trip {now / 1000:.3g} ms"
    return told if pd.isna(usual) else f"{told}, usually {usual / 1000:.3g} ms"


def _counters(verdict: Verdict) -> tuple[str, str, str]:
    """Return the evidence that convicts a link, and its columns of ``health``: events and exposure."""
    if verdict.root_cause == "congestion":
        return "discards", "discards", "sent"
    return "errors", "errors", "packets"


def _value(verdict: Verdict, kind: str) -> float | None:
    return next((one.value for one in verdict.evidence if one.kind == kind), None)
