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

    def healthy(self, verdict: Verdict) -> bool:
        """Return True where this cycle measured what the verdict is about and found it well."""
        if verdict.link is not None:
            return self._link(verdict) and self._pairs(verdict)
        if verdict.pairs:
            return self._pairs(verdict)
        return self._subject(verdict)

    def _link(self, verdict: Verdict) -> bool:
        """Return whether the counter that convicts the link was read and is quiet.

        A link that no counter watches is judged by its pairs alone.
        """
        rows = self._rows(verdict)
        if rows.empty:
            return False
        row = rows.iloc[0]
        if verdict.root_cause == "congestion":
            return bool(row["discards_known"]) and not bool(row["dropping"])
        if any(evidence.kind == "errors" for evidence in verdict.evidence):
            return bool(row["errors_known"]) and not bool(row["sick"])
        if verdict.pairs:
            return True
        return bool(self.view.scene.light.at[rows.index[0], "known"])

    def _rows(self, verdict: Verdict) -> pd.DataFrame:
        assert verdict.link is not None
        health = self.view.health
        end = verdict.link.receiver(verdict.direction or "a_to_b")
        return health[(health["receiver_device"] == end.device) & (health["receiver_if_name"] == end.if_name)]

    def _pairs(self, verdict: Verdict) -> bool:
        """Return whether the groups of the hurt pairs that can still be seen are no longer slow.

        Containers come and go: the groups are found by the services of the pairs, and one of them
        at least must have been measured.
        """
        if not verdict.pairs:
            return True
        table = self.view.symptoms
        hurt = self._groups(verdict)
        watched = table.loc[hurt]
        watched = watched[watched["usual_retransmissions"].notna() | watched["usual_response_ms"].notna()]
        return len(watched) > 0 and not bool(watched["slow"].any())

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

    def _subject(self, verdict: Verdict) -> bool:
        """Return whether the map or the target that a notice is about was seen again."""
        kinds = {evidence.kind for evidence in verdict.evidence}
        if "telemetry" in kinds:
            polls = self.view.tables["polls"]
            mine = polls[polls["target"] == verdict.subject.device].sort_values("at", kind="stable")
            return len(mine) > 0 and bool(mine["ok"].iloc[-1])
        if "topology" in kinds:
            return len(self.view.tables["neighbors"]) > 0
        return False
