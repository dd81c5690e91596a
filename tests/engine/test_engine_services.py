from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from correlator.engine.services import own_growth


def group(
    src: str, dst: str, service: tuple[float, float], response: tuple[float, float], **columns: Any
) -> dict[str, Any]:
    """Return a row: times as (usual, now)."""
    row = {"src_host": "h1", "dst_host": "h2", "src_service": src, "dst_service": dst, "exchanges": 1000.0,
           "usual_service_ms": service[0], "service_ms": service[1], "usual_response_ms": response[0],
           "response_ms": response[1]}  # fmt: skip
    slow = response[1] > 1.2 * response[0]
    grew = "service" if service[1] - service[0] > 0.5 * (response[1] - response[0]) else "network"
    return row | {"slow": slow, "grew": grew if slow else None} | columns


def test_a_service_whose_own_time_grew_is_to_blame() -> None:
    table = pd.DataFrame([group("web", "api", (8.0, 24.0), (9.0, 25.0))])
    grown = own_growth(table)
    assert grown["dst_service"].tolist() == ["api"]
    assert not grown["passed_on"].any()
    assert grown["share"].tolist() == pytest.approx([1.0])


def test_a_service_that_waits_for_its_slow_callee_is_not() -> None:
    table = pd.DataFrame(
        [
            group("web", "api", (8.0, 24.0), (9.0, 25.0)),
            group("api", "db", (4.0, 20.0), (5.0, 21.0), src_host="h2", dst_host="h3"),
        ]
    )
    grown = own_growth(table)
    assert dict(zip(grown["dst_service"], grown["passed_on"], strict=True)) == {"api": True, "db": False}


def test_a_service_that_waits_for_a_dirty_link_is_not_either() -> None:
    table = pd.DataFrame(
        [
            group("web", "api", (8.0, 24.0), (9.0, 25.0)),
            group("api", "db", (4.0, 4.0), (5.0, 21.0), src_host="h2", dst_host="h3"),
        ]
    )
    assert own_growth(table)["passed_on"].tolist() == [True]


def test_a_callee_on_another_host_explains_nothing() -> None:
    table = pd.DataFrame(
        [
            group("web", "api", (8.0, 24.0), (9.0, 25.0)),
            group("api", "db", (4.0, 4.0), (5.0, 21.0), src_host="h9", dst_host="h3"),
        ]
    )
    assert own_growth(table)["passed_on"].tolist() == [False]


def test_nothing_slow_blames_nobody() -> None:
    assert own_growth(pd.DataFrame([group("web", "api", (8.0, 8.0), (9.0, 9.0))])).empty
