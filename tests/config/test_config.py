from __future__ import annotations

from pathlib import Path

import pytest

from correlator.config import Config, ConfigError, find, load

EXAMPLE = Path(__file__).parents[2] / "config" / "correlator.yaml"


@pytest.fixture
def write(tmp_path):
    def _write(text: str, name: str = "c.yaml") -> Path:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        return path

    return _write


def refusal(path: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        load(path)
    return str(caught.value).replace(f"{path.parent}/", "")


def test_the_shipped_example_is_loaded():
    config = load(EXAMPLE)
    assert [switch.name for switch in config.switches] == ["leaf1", "spine1"]
    assert config.alerts.syslog[0].name == "collector"


def test_the_shipped_example_shows_the_defaults():
    shown = load(EXAMPLE).model_dump()
    default = Config().model_dump()
    for key in ("snmp", "periods", "store", "state", "report", "engine"):
        assert shown[key] == default[key]


def test_every_key_stands_in_the_shipped_example():
    text = EXAMPLE.read_text()
    for section in Config.model_fields.values():
        for inner in getattr(section.annotation, "model_fields", {}):
            assert f"{inner}:" in text, inner


def test_an_empty_file_polls_nothing(write):
    config = load(write(""))
    assert config.switches == ()
    assert config.hosts == ()
    assert config.alerts.syslog == ()
    assert config.metrics is None


def test_a_section_with_all_its_lines_commented_out_is_the_default(write):
    assert load(write("switches:\nperiods:\n")).periods.counters_s == 60


def test_a_mistyped_key_names_file_line_key_and_the_right_one(write):
    text = "switches:\n  - name: leaf1\n    adress: 192.0.2.1\n    address: 192.0.2.1\n"
    assert refusal(write(text)) == "c.yaml:3: switches[0].adress: unknown key; did you mean address?"


def test_an_unknown_key_names_those_that_are_known(write):
    assert "c.yaml:2: periods.zzz: unknown key; known here: counters_s" in refusal(
        write("periods:\n  zzz: 1")
    )


def test_a_missing_key_names_the_line_of_its_section(write):
    said = refusal(write("hosts:\n\n  - name: node1\n"))
    assert said.startswith("c.yaml:3: hosts[0].url: missing; it says the address of the agent")


def test_a_wrong_value_says_what_is_expected_and_does_not_repeat_it(write):
    said = refusal(write("report:\n  timezone: hunter2\n"))
    assert said.startswith("c.yaml:2: report.timezone: there is no such time zone; expected: IANA")
    assert "hunter2" not in said


def test_all_errors_are_named_at_once(write):
    said = refusal(write("periods: {counters_s: 0}\nstore: {path: /x, keep_raw_days: never}\nx: 1\n"))
    assert [line.split(":")[1] for line in said.splitlines()] == ["1", "2", "3"]


def test_a_key_given_twice_is_refused(write):
    assert refusal(write("store:\n  path: /a\n  path: /b\n")) == "c.yaml:3: store.path: given twice; keep one"


def test_broken_yaml_names_its_line(write):
    assert refusal(write("switches:\n  - name: [\n")).startswith("c.yaml:3: not YAML")


@pytest.mark.parametrize("text", ["- 1\n", "hello\n", "3\n"])
def test_a_document_that_is_no_mapping_is_refused(write, text):
    assert "must be a mapping" in refusal(write(text))


def test_an_entry_that_is_no_mapping_is_refused_in_the_same_words(write):
    said = refusal(write("switches:\n  - leaf1\n"))
    assert said == "c.yaml:2: switches[0]: must be a mapping of keys to values"


def test_bytes_that_are_no_text_are_refused(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_bytes(b"a: \xff\xfe\n")
    assert "not YAML" in refusal(path)


def test_aliases_that_multiply_are_refused(write):
    bomb = "a0: &a0 [1,1,1,1,1,1,1,1,1]\n" + "".join(
        f"a{i}: &a{i} [{','.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 12)
    )
    assert "write it out plainly" in refusal(write(bomb))


def test_an_alias_within_itself_is_refused(write):
    assert "write it out plainly" in refusal(write("include: &a [*a]\n"))


def test_a_file_that_is_not_there_is_named(tmp_path):
    assert "nowhere.yaml: No such file" in refusal(tmp_path / "nowhere.yaml")


def test_no_and_times_are_text(write):
    config = load(write("switches: [{name: no, address: a, site: off, rack: 010}]\nreport: {at: 16:30}\n"))
    assert (config.switches[0].name, config.switches[0].site, config.switches[0].rack) == ("no", "off", "010")
    assert config.report.at.hour == 16


def test_a_number_may_be_a_name(write):
    assert load(write("switches: [{name: 42, address: a}]\n")).switches[0].name == "42"


def test_two_switches_of_one_name_are_refused_with_both_places(write):
    text = "switches:\n  - {name: leaf1, address: a}\n  - {name: leaf1, address: b}\n"
    said = refusal(write(text))
    assert "c.yaml:3: switches[1].name: 'leaf1' is named before" in said
    assert "c.yaml:2: switches[0]" in said


def test_included_files_add_targets_and_keep_their_places(write):
    write("switches:\n  - {name: b, address: b}\n", "s/1.yaml")
    bad = write("switches:\n  - {name: c, address: c}\n  - {name: d}\n", "s/2.yaml")
    main = write("include: [s/*.yaml]\nswitches:\n  - {name: a, address: a}\n")
    assert "s/2.yaml:3: switches[3].address: missing" in refusal(main)
    bad.write_text("")
    assert [switch.name for switch in load(main).switches] == ["a", "b"]


def test_an_included_file_may_hold_targets_only(write):
    write("store: {path: /x}\n", "more.yaml")
    assert "may hold lists of switches, hosts, cables only" in refusal(write("include: [more.yaml]\n"))


def test_a_named_include_must_exist_and_a_pattern_need_not(write):
    assert "more.yaml: No such file" in refusal(write("include: [more.yaml]\n"))
    assert load(write("include: ['*.d/x']\n")).switches == ()


def test_a_literal_community_is_refused_without_being_repeated(write):
    said = refusal(write("switches: [{name: a, address: a, community: hunter2}]\n"))
    assert "give community_env or community_file" in said
    assert "hunter2" not in said


def test_without_a_community_it_is_public(write):
    config = load(write("switches: [{name: a, address: a}]\n"))
    assert config.community(config.switches[0]) == "public"


def test_a_switch_takes_its_own_community_before_the_general_one(write, monkeypatch):
    monkeypatch.setenv("OWN", "own")
    monkeypatch.setenv("ALL", "all")
    switches = "switches: [{name: a, address: a, community_env: OWN}, {name: b, address: b}]\n"
    config = load(write("snmp: {community_env: ALL}\n" + switches))
    assert [config.community(switch) for switch in config.switches] == ["own", "all"]


def test_a_secret_is_read_from_a_file_beside_the_configuration(write):
    write("hunter2\n", "token")
    config = load(write("agents: {token_file: token}\nhosts: [{name: h, url: 'http://h:1'}]\n"))
    assert config.token(config.hosts[0]) == "hunter2"
    assert "hunter2" not in repr(config)


def test_a_variable_that_is_not_set_is_named_with_its_place(write, monkeypatch):
    monkeypatch.delenv("NOT_THERE", raising=False)
    config = load(write("hosts:\n  - name: h\n    url: http://h:1\n    token_env: NOT_THERE\n"))
    with pytest.raises(
        ConfigError, match=r"c\.yaml:4: hosts\[0\]\.token_env: the environment has no NOT_THERE"
    ):
        config.token(config.hosts[0])


@pytest.mark.parametrize("text", ["", "two\nlines\n", "x" * 5000])
def test_a_file_that_holds_no_single_secret_is_refused(write, text):
    write(text, "secret")
    config = load(write("snmp: {community_file: secret}\nswitches: [{name: a, address: a}]\n"))
    with pytest.raises(ConfigError, match="does not hold one secret"):
        config.community(config.switches[0])


def test_a_host_without_a_token_is_an_error(write):
    config = load(write("hosts: [{name: h, url: 'http://h:1'}]\n"))
    with pytest.raises(ConfigError, match=r"c\.yaml:1: hosts\[0\]: no token"):
        config.token(config.hosts[0])


def test_both_ways_to_a_secret_are_refused(write):
    said = refusal(write("snmp:\n  community_env: A\n  community_file: b\n"))
    assert said == "c.yaml:2: snmp.community_env: community_file is given as well; keep one of them"


def test_relative_paths_are_relative_to_the_file(write, tmp_path):
    config = load(write("store: {path: data}\n"))
    assert config.path(config.store.path) == tmp_path / "data"


def test_without_a_file_the_usual_places_are_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if not Path("/etc/correlator/correlator.yaml").exists():
        with pytest.raises(ConfigError, match="give one with --config"):
            find(None)
    (tmp_path / "correlator.yaml").write_text("")
    assert find(None) == Path("correlator.yaml")


def test_settings_of_the_engine_are_put_over_its_defaults(write):
    params = load(write("engine:\n  window: 25\n  incidents.bad_to_open: 5\n")).engine_params()
    assert params.window.total_seconds() == 25
    assert params.incidents.bad_to_open == 5
    assert params.incidents.good_to_clear == type(params.incidents)().good_to_clear


def test_every_setting_of_the_engine_can_be_configured():
    from correlator.config.engine import _with, names
    from correlator.engine.cycle import Params

    for dotted in names(Params()):
        with pytest.raises(ValueError, match="validation error"):
            _with(Params(), dotted.split("."), object())


@pytest.mark.parametrize("wrong", ["incidents.bad_to_opne", "incidents", "window.x", "x"])
def test_a_setting_that_the_engine_does_not_have_is_named_with_the_nearest(write, wrong):
    said = refusal(write(f"engine:\n  {wrong}: 5\n"))
    assert said.startswith(f"c.yaml:2: engine.{wrong}: the engine has no such setting; ")


def test_a_setting_of_the_wrong_type_is_refused(write):
    said = refusal(write("engine:\n  incidents.bad_to_open: often\n"))
    assert said.startswith("c.yaml:2: engine.incidents.bad_to_open: input should be a valid integer")


def test_receivers_need_names_of_their_own_whatever_their_kind(write):
    text = "alerts:\n  syslog:\n  - {name: a, address: x}\n  json_lines:\n  - {name: a, path: y}\n"
    assert "c.yaml:5: alerts.json_lines[0].name: 'a' is named before" in refusal(write(text))


def test_a_maintenance_window_ends_after_it_begins(write):
    window = "maintenance:\n- {subject: a, since: 2026-12-02T00:00Z, until: 2026-12-01T00:00Z}\n"
    assert "until is not after since" in refusal(write(window))


def test_a_maintenance_window_without_a_zone_is_refused(write):
    window = "maintenance:\n- {subject: a, since: 2026-12-01T00:00, until: 2026-12-02T00:00Z}\n"
    assert "maintenance[0].since" in refusal(write(window))
