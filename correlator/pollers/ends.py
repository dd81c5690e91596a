"""How far the rows went that were about to be stored: what makes a page the same one after a crash.

The store takes what a source says up to a sequence number once (``ports.Store.append``). If the
service dies after storing a page and before remembering its end, the agent has more rows by the next
poll, and a page that ends further on would bring the first ones again. So the ends are noted before
storing, and a poller that is given them ends its pages there.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from correlator.ports import Batch

STORING = "storing"
"""The cursor's key under which the ends stand, as a JSON object: source → sequence number."""


def ends(cursor: Mapping[str, str]) -> dict[str, int]:
    """Return, by source, the last row that was about to be stored; empty where nothing says so."""
    try:
        found = json.loads(cursor.get(STORING, "{}"))
    except ValueError:
        return {}
    if not isinstance(found, dict):
        return {}
    return {str(source): end for source, end in found.items() if isinstance(end, int)}


def noted(batches: Sequence[Batch]) -> str:
    """Return what to remember as STORING before a poll's batches are stored.

    The last batch tells of the poll itself; its cursor has the ends of earlier polls that this one did
    not reach. Empty where there is nothing to remember.
    """
    found = ends(batches[-1].cursor) if batches else {}
    for batch in batches[:-1]:
        found[batch.source] = max(batch.sequence, found.get(batch.source, 0))
    return written(found)


def written(found: Mapping[str, int]) -> str:
    """Return ends as the text under STORING; empty where there are none."""
    return json.dumps(found) if found else ""
