"""The days, each rendered once for all tests."""

import pandas as pd
import pytest
import report_days as days
import report_troubled as troubled

from correlator.reports import daily, page
from correlator.reports.content import Content


@pytest.fixture(scope="session")
def rich_tables() -> dict[str, pd.DataFrame]:
    return days.rich()


@pytest.fixture(scope="session")
def thin_tables(rich_tables: dict[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """The rich day with every tenth reading only: quick."""
    raw = ("counters", "optics", "pair_samples")
    return {name: table.iloc[::10] if name in raw else table for name, table in rich_tables.items()}


@pytest.fixture(scope="session")
def rich(rich_tables: dict[str, pd.DataFrame]) -> Content:
    return daily.content(rich_tables, days.DAY, days.ZONE, days.NOW)


@pytest.fixture(scope="session")
def rich_page(rich: Content) -> str:
    return page.render(rich)


@pytest.fixture(scope="session")
def quiet_page() -> str:
    return daily.render(troubled.quiet_day(), days.DAY, days.ZONE, days.NOW)


@pytest.fixture(scope="session")
def hostile_page() -> str:
    return daily.render(days.hostile(), days.DAY, days.ZONE, days.NOW)


@pytest.fixture(scope="session")
def crowded_page() -> str:
    return daily.render(days.crowded(), days.DAY, days.ZONE, days.NOW)


@pytest.fixture(scope="session")
def dirty_page() -> str:
    return daily.render(troubled.dirty_day(), days.DAY, days.ZONE, days.NOW)


@pytest.fixture(scope="session")
def chaos() -> Content:
    return daily.content(troubled.chaos(), days.DAY, days.ZONE, days.NOW)


@pytest.fixture(scope="session")
def chaos_page(chaos: Content) -> str:
    return page.render(chaos)
