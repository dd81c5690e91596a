"""``correlator explain A B``: whether two are slow, since when, where the time goes, and what is to blame."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from correlator.commands.options import ConfigFile, Json, configuration, moment, out, print_json, progress

if TYPE_CHECKING:
    import pandas as pd

    from correlator.config import Config
    from correlator.pipeline import Params
    from correlator.store.delta import DeltaStore

MOST_PATHS = 3
SINCE_EVER = timedelta(days=36_500)

One = Annotated[str, typer.Argument(metavar="A", help="A container (name or id), a service or a host.")]
Other = Annotated[str, typer.Argument(metavar="B", help="The other one.")]
At = Annotated[str | None, typer.Option(help="The time to explain, ISO 8601; the newest known if left out.")]


def explain(a: One, b: Other, at: At = None, config: ConfigFile = None, as_json: Json = False) -> None:
    """Say how much slower than usual two containers, services or hosts talk, and what is to blame."""
    settings = configuration(config)
    with progress.status("reading what is known"):
        answer = explained(settings, a, b, moment("--at", at))
    if as_json:
        print_json(answer)
        return
    for line in lines(answer):
        out.print(line, markup=False)


def explained(config: Config, a: str, b: str, at: datetime | None) -> dict[str, Any]:
    """Return what ``engine.explain`` knows of two at a time; nothing is kept and nobody is alerted."""
    from correlator import wiring
    from correlator.engine.cycle import run_cycle
    from correlator.engine.explain import explain
    from correlator.pipeline import read_tables

    store, params = wiring.open_store(config), wiring.params(config)
    now = at or last_known(store, wiring.SystemClock().now(), params)
    tables = read_tables(store, now, params)
    cycle = run_cycle(tables, wiring.open_state(config).incidents(), now, params.engine)
    return explain(cycle, tables, a, b)


def last_known(store: DeltaStore, now: datetime, params: Params) -> datetime:
    """Return ``now``, or where nothing has answered for longer than a window, when something last did."""
    if len(_answered(store, now - params.window, now)):
        return now
    answered = _answered(store, now - SINCE_EVER, now)
    last: datetime = answered.max().to_pydatetime() if len(answered) else now
    progress.print(
        f"nothing has answered of late; this is how it was at {last:%Y-%m-%d %H:%M}Z", markup=False
    )
    return last


def _answered(store: DeltaStore, since: datetime, until: datetime) -> pd.Series[Any]:
    """Return when polls were answered."""
    polls = store.read("polls", since, until, ["at", "ok"])
    return polls.loc[polls["ok"].astype(bool), "at"]


def lines(answer: dict[str, Any]) -> Iterator[str]:
    """Yield an explanation as lines that a person can act on."""
    yield f"{answer['a']} and {answer['b']} at {_time(answer['at'])}"
    if answer["matched"]:
        yield _verdict(answer)
        yield from _blame(answer)
        yield from _figures(answer)
        yield from _paths(answer["paths"])
    for text in answer["unknown"]:
        yield f"unknown: {text}"


def _verdict(answer: dict[str, Any]) -> str:
    """Return how much slower, within which bounds, since when, and what grew."""
    by = answer["slower_by"]
    if by["ratio"] is None:
        ratio = "there is no usual yet to compare with"
    else:
        bounds = f"(95 %: {by['low']:.2f} to {by['high']:.2f})"
        ratio = f"the time to a response is {by['ratio']:.2f} times the usual {bounds}"
    if not answer["slow"]:
        return f"not slow: {ratio}"
    since = f" since {_time(answer['since'])}" if answer["since"] else ""
    where = (
        "not the network: the service takes longer"
        if answer["not_the_network"]
        else "the network takes longer"
    )
    return f"slow: {ratio}{since}; {where}"


def _blame(answer: dict[str, Any]) -> Iterator[str]:
    from correlator.commands.verdicts import sentence, step
    from correlator.model import Action, Verdict

    blame = answer["blame"]
    if blame is None:
        if answer["slow"]:
            yield "to blame: nothing that was seen"
        return
    window = {"since": answer["at"], "until": answer["at"]}
    known = {key: value for key, value in blame.items() if key in Verdict.__dataclass_fields__}
    verdict = Verdict.from_json({"severity": "notice", "onset": None, "window": window, **known})
    yield f"to blame: {sentence(verdict)}, {blame['share_explained']:.0%} of the excess"
    for action in blame["actions"]:
        yield f"  {action['step']}. {action['text'] or step(Action(**action))}"


def _figures(answer: dict[str, Any]) -> Iterator[str]:
    rows = (
        ("time to a response", "response_ms", "{:.2f} ms", 1),
        ("  in the network", "network_ms", "{:.2f} ms", 1),
        ("  in the service", "service_ms", "{:.2f} ms", 1),
        ("segments sent again", "retransmission_rate", "{:.4f} %", 100),
        ("exchanges", "exchanges_per_s", "{:.1f} a second", 1),
        ("", "exchanges_per_connection", "{:.0f} a connection", 1),
    )
    for title, key, form, factor in rows:
        now, usual = (
            "not known" if answer[key][when] is None else form.format(answer[key][when] * factor)
            for when in ("now", "usual")
        )
        yield f"{title:20} {now} (usual: {usual})"


def _paths(paths: list[dict[str, Any]]) -> Iterator[str]:
    """Yield each path's hops; of many paths those with something wrong on them."""
    shown = paths
    if len(paths) > MOST_PATHS:
        shown = [path for path in paths if any(h["state"] in ("sick", "congested") for h in _hops(path))]
        shown = shown[:MOST_PATHS]
    for path in shown:
        for way, ends in (("forward", ("source", "destination")), ("reverse", ("destination", "source"))):
            yield f"path {path[ends[0]]} -> {path[ends[1]]}"
            yield from (_hop(hop) for hop in path[way])
    if len(shown) < len(paths):
        yield f"and {len(paths) - len(shown)} more pairs of hosts (--json has them)"


def _hops(path: dict[str, Any]) -> list[dict[str, Any]]:
    return [*path["forward"], *path["reverse"]]


def _hop(hop: dict[str, Any]) -> str:
    told = []
    if hop["errors"] is not None:
        passed = f", {hop['passed_on']:.0f} of them passed on" if hop["passed_on"] else ""
        rate = f" ({hop['error_rate']:.1e})" if hop["error_rate"] else ""
        told.append(f"{hop['errors']:.0f} errors in {hop['packets']:.0f} packets{rate}{passed}")
    if hop["discards"]:
        told.append(f"{hop['discards']:.0f} discards")
    if hop["utilisation"] is not None:
        told.append(f"{hop['utilisation']:.0%} full")
    told += [text for lane in hop["light"][:1] if (text := _light(lane))]
    told += [f"unknown: {text}" for text in hop["unknown"]]
    return f"  {hop['share']:4.0%} {hop['from']} -> {hop['to']}: {hop['state']}; {', '.join(told)}"


def _light(lane: dict[str, Any]) -> str:
    if lane["rx_power_dbm"] is None:
        return ""
    usual = "" if lane["rx_usual_dbm"] is None else f" (usual {lane['rx_usual_dbm']:.1f})"
    return f"light {lane['rx_power_dbm']:.1f} dBm{usual}"


def _time(text: str) -> str:
    return f"{datetime.fromisoformat(text):%Y-%m-%d %H:%M}Z"
