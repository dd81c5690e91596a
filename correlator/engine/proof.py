"""Whether what a verdict is about was measured and is well again: silence proves nothing."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from correlator.engine.view import View
from correlator.model import Verdict


@dataclass(frozen=True)
class Proof:
    """Answers from one cycle's view."""

    view: View

    def healthy(self, verdict: Verdict) -> bool | None:
        """Return whether what the verdict is about was found well; None where it was not measured."""
        if verdict.link is not None:
            found = (self._link(verdict), self._pairs(verdict))
            return False if False in found else None if None in found else True
        return self._pairs(verdict) if verdict.pairs else self._subject(verdict)

    def words(self, verdict: Verdict) -> str:
        """Return what shows that a link is well, before and after; empty for what is no link."""
        rows = self._rows(verdict) if verdict.link is not None else self.view.health.iloc[:0]
        if rows.empty:
            return ""
        what, rate, of = (
            ("discards", "discard_rate", "sent")
            if verdict.root_cause == "congestion"
            else ("errors", "error_rate", "packets")
        )
        before = next((one.value for one in verdict.evidence if one.kind == what), None)
        row = rows.iloc[0]
        if before is None or pd.isna(row[rate]):
            return ""
        return f"{what} {before:.2g} of packets before, {max(row[rate], 0.0):.2g} of {row[of]:.3g} now"

    def unseen(self, verdict: Verdict) -> str:
        """Return what is in the way of measuring what the verdict is about."""
        if verdict.link is None:
            return "its pairs are idle or gone" if verdict.pairs else ""
        end = verdict.link.receiver(verdict.direction or "a_to_b")
        if self._rows(verdict).empty:
            return f"{verdict.link} is no longer on the map"
        if self._link(verdict) is None:
            return f"the counters of {end} are not read"
        return "its pairs are idle or gone"

    def _link(self, verdict: Verdict) -> bool | None:
        """Return whether the counter that convicts the link is quiet; None where it was not read.

        A link that no counter watches is judged by its pairs alone.
        """
        rows = self._rows(verdict)
        if rows.empty:
            return None
        row = rows.iloc[0]
        if verdict.root_cause == "congestion":
            return not bool(row["dropping"]) if row["discards_known"] else None
        if any(evidence.kind == "errors" for evidence in verdict.evidence):
            return not bool(row["sick"]) if row["errors_known"] else None
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
        hurt = self._groups(verdict)
        watched = table.loc[hurt]
        watched = watched[watched["usual_retransmissions"].notna() | watched["usual_response_ms"].notna()]
        return not bool(watched["slow"].any()) if len(watched) else None

    def _groups(self, verdict: Verdict) -> list[int]:
        """Return the groups (rows of symptoms) that the verdict's container pairs belong or belonged to."""
        containers = self.view.tables["containers"].drop_duplicates("container_id", keep="last")
        services = containers["service"].fillna(containers["name"])
        known = zip(containers["container_id"], containers["host"], services, strict=True)
        place = {container: (host, service) for container, host, service in known}
        hurt = set()
        for pair in verdict.pairs:
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
            mine = polls[polls["target"] == verdict.subject.device].sort_values("at", kind="stable")
            return bool(mine["ok"].iloc[-1]) if len(mine) else None
        if "topology" in kinds:
            return True if len(self.view.tables["neighbors"]) else None
        return None
