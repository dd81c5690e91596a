from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from parts_of_a_chain import NOW

from correlator import frames, wiring
from correlator.config import Cable, Config, ConfigError, Host, Report, StateSection, StoreSection, Switch
from correlator.engine.remarks import Remarks
from correlator.model import Subject, Verdict, Window
from correlator.pipeline import COPY, HOSTS
from correlator.ports import CorrelatorError


@pytest.fixture
def config(tmp_path):
    def _config(**sections):
        return Config(
            store=StoreSection(path=tmp_path / "tables", keep_raw_days=3),
            state=StateSection(path=tmp_path / "state.sqlite"),
            report=Report(directory=tmp_path / "reports"),
            **sections,
        )

    return _config


def test_a_chain_has_a_poller_for_each_target_and_a_sink_for_each_receiver(config, monkeypatch):
    monkeypatch.setenv("TOKEN", "t")
    settings = config(
        switches=(Switch(name="leaf1", address="127.0.0.1"), Switch(name="leaf2", address="127.0.0.1")),
        hosts=(Host(name="node1", url="http://127.0.0.1:1", token_env="TOKEN"),),
        alerts={"syslog": [{"address": "127.0.0.1", "name": "one"}, {"address": "127.0.0.1", "name": "two"}]},
    )

    async def names():
        async with wiring.opened(settings) as chain:
            pollers = {group: [p.name for p in pollers] for group, pollers in chain.pollers.items()}
            return pollers, [sink.name for sink in chain.sinks]

    pollers, sinks = asyncio.run(names())
    assert pollers["optics"] == ["leaf1 optics", "leaf2 optics"]
    assert set(pollers) == {"topology", "counters", "optics", HOSTS}
    assert (pollers[HOSTS], sinks) == (["node1"], ["one", "two"])


def test_a_secret_that_is_not_there_is_said_before_anything_starts(config, monkeypatch):
    monkeypatch.delenv("TOKEN", raising=False)
    settings = config(hosts=(Host(name="node1", url="http://127.0.0.1:1", token_env="TOKEN"),))

    async def start():
        async with wiring.opened(settings):
            pass

    with pytest.raises(ConfigError, match="the environment has no TOKEN"):
        asyncio.run(start())


def test_certificates_that_are_not_there_are_said(config, monkeypatch, tmp_path):
    monkeypatch.setenv("TOKEN", "t")
    settings = config(
        hosts=(Host(name="n", url="https://n:1", token_env="TOKEN", ca_file=tmp_path / "no.pem"),)
    )

    async def start():
        async with wiring.opened(settings):
            pass

    with pytest.raises(ConfigError, match="give certificates in PEM"):
        asyncio.run(start())


def test_two_do_not_work_on_one_state(config):
    settings = config()
    with (
        wiring.alone(settings),
        pytest.raises(CorrelatorError, match="another correlator works on this state"),
    ):
        wiring.alone(settings).__enter__()
    with wiring.alone(settings):
        pass


def test_rooms_are_given_what_is_configured(config):
    settings = config(
        periods={"window_s": 600, "at_once": 8},
        cables=(Cable(a_device="a", a_if_name="1", b_device="b", b_if_name="2", a_panel="P1"),),
    )
    params = wiring.params(settings)
    assert (params.window, params.at_once) == (timedelta(minutes=10), 8)
    assert list(params.cables["a_panel"]) == ["P1"]


def test_who_only_looks_queues_nothing(config):
    settings = config()
    assert wiring.open_state(settings).outgoing(COPY, 1) == []


def test_a_report_is_written_where_it_is_configured_and_replaces_an_older_one(config):
    settings = config()
    store = wiring.open_store(settings)
    paths = {wiring.write_report(store, settings, date(2026, 11, 1), NOW) for _ in range(2)}
    (path,) = paths
    assert path.name == "2026-11-01.html"
    assert path.read_text().startswith("<!doctype html>")
    assert sorted(file.name for file in path.parent.iterdir()) == ["2026-11-01.html", "index.html"]


def test_a_report_that_cannot_be_written_says_so_in_one_sentence(config, tmp_path):
    (tmp_path / "reports").write_text("a file where the folder should be")
    settings = config()
    with pytest.raises(CorrelatorError, match="make the report directory writable"):
        wiring.write_report(wiring.open_store(settings), settings, date(2026, 11, 1), NOW)


def refused(config, **alerts) -> str:
    with pytest.raises(ConfigError) as caught:
        wiring.sinks(config(alerts=alerts))
    return str(caught.value)


def test_receivers_of_every_kind_become_sinks_with_their_terms(config, tmp_path):
    settings = config(
        alerts={
            "syslog": [{"transport": "tls", "address": "logs.example.net", "min_severity": "err"}],
            "json_lines": [{"name": "file", "path": str(tmp_path / "a.json"), "per_minute": 60}],
        }
    )
    assert [sink.name for sink in wiring.sinks(settings)] == ["syslog", "file"]
    terms = wiring.terms(settings)
    assert (terms["syslog"].min_severity, terms["syslog"].per_minute) == ("err", 6000)
    assert (terms["file"].min_severity, terms["file"].per_minute) == ("notice", 60)


@pytest.mark.parametrize(
    ("receiver", "said"),
    [
        ({"address": "x", "adress": "y"}, "alerts.syslog[0].adress: unknown key; did you mean address?"),
        ({"address": "x", "facility": 24}, "facility is not in 0 to 23"),
        ({"address": "x", "transport": "smoke"}, "alerts.syslog[0].transport: input should be 'udp'"),
        ({"transport": "tcp"}, "alerts.syslog[0].address: field required"),
        ({"address": "x", "cert_file": "c.pem"}, "certificates are for transport tls"),
        ({"address": "log", "transport": "local"}, "address is not a path"),
        (
            {"address": "x", "transport": "tls", "ca_file": "/no.pem"},
            "No such file or directory; give",
        ),
        ({"address": "x", "transport": "tls", "cert_file": "/no.pem"}, "give it and its key in PEM"),
    ],
)
def test_what_a_receiver_cannot_use_is_said_with_its_key(config, receiver, said):
    assert said in refused(config, syslog=[receiver])


def test_a_kind_of_receiver_that_does_not_exist_is_refused(config):
    assert "there is no such kind of receiver; known: json_lines, syslog" in refused(config, pager=[{"x": 1}])


def test_maintenance_windows_are_annotations_that_begin_when_they_begin(config):
    window = {
        "subject": "ams1",
        "since": "2026-12-01T22:00+01:00",
        "until": "2026-12-02T04:00+01:00",
        "why": "w",
    }
    (row,) = wiring.params(config(maintenance=[window])).maintenance(NOW).to_dict("records")
    assert (row["subject"], row["kind"], row["by"]) == ("ams1", "maintenance", "configuration")
    assert (row["at"].hour, row["until"].hour) == (21, 3)


def test_weekly_windows_are_annotations_and_keep_an_incident_quiet_while_they_hold(config):
    window = {"subject": "leaf1", "days": ["sunday"], "at": "23:00", "hours": 3, "why": "backups"}
    settings = config(maintenance=[window])
    settings = settings.model_copy(
        update={"report": settings.report.model_copy(update={"timezone": "Europe/Berlin"})}
    )
    about = Verdict("i1", "unknown", None, None, "unknown", 1.0, "warning", None, Window(NOW, NOW))
    about = replace(about, subject=Subject(device="leaf1"))

    def quiet(hour: int) -> str:
        """Return what is said so many hours after Sunday, 25 October 2026, 22:00 in UTC: 23:00 there."""
        now = datetime(2026, 10, 25, 22, tzinfo=UTC) + timedelta(hours=hour)
        said = wiring.params(settings).maintenance(now)
        return Remarks(said, frames.empty("devices"), now).quiet(about)

    assert [bool(quiet(hour)) for hour in (-1, 0, 1, 2, 3, 24)] == [False, True, True, True, False, False]
    assert quiet(1) == "maintenance by configuration: backups"


def test_a_configured_path_stands_beside_the_followed_ones(config):
    route = {"source": "node1", "destination": "node2", "hops": ["leaf1 Ethernet1"]}
    (row,) = wiring.params(config(paths=(route,))).paths.to_dict("records")
    told = row["host"], row["source_address"], row["destination_address"], row["hops"]
    assert told == ("node1", "node1", "node2", ["leaf1 Ethernet1"])
