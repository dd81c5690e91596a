import dataclasses
import itertools
import math
import re
import xml.etree.ElementTree as ET
from datetime import timedelta

import pytest
import report_days as days

from correlator.model import End
from correlator.reports import bars, charts, fabric_chart, svg, timeline, trend_chart
from correlator.reports.content import Period, SlowPair, Talk
from correlator.reports.readings import Series, Trace
from correlator.reports.split_chart import measured, split_chart
from correlator.reports.words import Clock

PERIOD = Period(days.DAY, days.ZONE, days.MIDNIGHT, days.END, days.NOW)


def series(values, step_s=60, offsets=None):
    return Series(
        days.MIDNIGHT, step_s, tuple(offsets or range(0, step_s * len(values), step_s)), tuple(values)
    )


def rate(rich, values, **how):
    return dataclasses.replace(rich.orders[0].rates[0], trace=Trace(None, series(values, **how)))


def draw_rate(rate):
    return ET.fromstring(charts.rate_chart(rate, [rate], None, PERIOD, "u"))


def paths(picture, class_):
    return [path.get("d") for path in picture.iter("path") if path.get("class") == class_]


def test_an_attribute_or_text_cannot_leave_its_place():
    drawn = svg.element("text", "<b>&", class_='"><script>')
    assert drawn == '<text class="&#34;&gt;&lt;script&gt;">&lt;b&gt;&amp;</text>'


def test_every_picture_is_well_formed_and_says_what_it_shows(rich):
    for light in rich.orders[0].light:
        picture = ET.fromstring(charts.light_chart(light, rich.orders[0].light, days.ONSET, PERIOD, "x"))
        assert picture.get("role") == "img"
        assert picture.find("title").text.startswith("Light from ")
        assert "onset" in picture.find("desc").text
        assert picture.get("aria-labelledby") == picture.find("title").get("id")


def test_the_description_carries_the_numbers(rich):
    light = rich.orders[0].light
    picture = ET.fromstring(charts.light_chart(light[0], light, days.ONSET, PERIOD, "x"))
    assert "lost on the way 2.2 dB before, 8.4 dB now" in picture.find("desc").text


def test_zero_has_a_row_of_its_own_below_the_logarithm(rich):
    picture = draw_rate(rate(rich, [0.0, 0.0, 1e-5, 2e-5, 0.0]))
    zeros = paths(picture, "zeros")[0]
    assert {stroke.split("L")[0].split("h")[0].split(" ")[1] for stroke in zeros.split("M")[1:]} == {
        f"{timeline.BOTTOM:.1f}"
    }
    assert len(paths(picture, "rx")) == 1


def test_missing_is_hatched_and_never_drawn_as_zero(rich):
    silent = rate(rich, [0.0, 0.0, 0.0, 0.0], offsets=[0, 60, 3000, 3060])
    picture = draw_rate(silent)
    assert paths(picture, "zeros")[0].count("M") == 2
    hatched = paths(picture, "hatch")
    assert len(hatched) == 2  # between the readings, and from the last one to the end of the day
    assert "no data" in "".join(picture.itertext())


def test_a_reading_that_said_nothing_breaks_the_line(rich):
    picture = draw_rate(rate(rich, [1e-5, 1e-5, None, 1e-5, 1e-5]))
    assert paths(picture, "rx")[0].count("M") == 2


def test_a_lone_reading_is_a_dot(rich):
    picture = draw_rate(rate(rich, [0.0, 1e-5, 0.0]))
    assert paths(picture, "rx dots")[0].endswith("h.01")


def test_a_picture_without_readings_says_so(rich):
    empty = dataclasses.replace(rich.orders[0].rates[0], trace=Trace(None, None), before=None, now=None)
    other = rate(rich, [1e-5, 2e-5])
    picture = ET.fromstring(charts.rate_chart(empty, [other, empty], None, PERIOD, "u"))
    assert picture.find("desc").text == "no readings"
    assert "no readings" in "".join(label.text for label in picture.iter("text") if label.text)


def test_both_directions_share_their_scales(rich):
    light = rich.orders[0].light
    pictures = [ET.fromstring(charts.light_chart(one, light, None, PERIOD, "u")) for one in light]
    ticks = [
        [(label.get("y"), label.text) for label in picture.iter("text") if label.get("text-anchor") == "end"]
        for picture in pictures
    ]
    assert ticks[0] == ticks[1]
    assert len(ticks[0]) >= 3


def test_nothing_is_drawn_outside_the_picture(rich):
    for order in rich.orders:
        for one in order.rates:
            picture = ET.fromstring(
                charts.rate_chart(one, order.rates, order.fault.verdict.onset, PERIOD, "u")
            )
            x = [
                float(mark.get(key)) for mark in picture.iter() for key in ("x", "x1", "x2") if mark.get(key)
            ]
            y = [
                float(mark.get(key)) for mark in picture.iter() for key in ("y", "y1", "y2") if mark.get(key)
            ]
            assert 0 <= min(x) <= max(x) <= timeline.WIDTH
            assert 0 <= min(y) <= max(y) <= timeline.HEIGHT


def test_labels_never_overlap():
    marks = timeline.labels(
        [(50.0, "a", "c"), (51.0, "b", "c"), (52.0, "d", "c"), (181.0, "e", "c"), (182.0, "f", "c")]
    )
    ys = [float(ET.fromstring(mark).get("y")) for mark in marks]
    assert all(later - earlier >= timeline.LABEL_HEIGHT for earlier, later in itertools.pairwise(ys))
    assert max(ys) <= timeline.BOTTOM + 5


def test_one_reading_still_has_a_time_axis(rich):
    assert "M" in paths(draw_rate(rate(rich, [1e-4])), "rx dots")[0]


@pytest.mark.parametrize(("low", "high"), [(-12.3, 0.4), (-3.1, -2.9), (0.0, 1000.0)])
def test_ticks_are_round_and_few(low, high):
    steps = svg.round_steps(low, high, 5)
    assert 2 <= len(steps) <= 6
    assert all(low <= step <= high for step in steps)


@pytest.mark.parametrize("minutes", [3, 17, 61, 240, 1380, 1500])
def test_the_clock_has_few_round_times(minutes):
    since = days.MIDNIGHT
    steps = svg.clock_steps(since, since + timedelta(minutes=minutes), 4)
    assert 1 <= len(steps) <= 5


def test_a_pair_of_bars_splits_network_and_service(rich):
    pair = rich.pairs[0]
    picture = ET.fromstring(bars.response_bars(pair, bars.longest_response(rich.pairs)))
    widths = {(box.get("class"), box.get("y")): float(box.get("width")) for box in picture.iter("rect")}
    assert widths["bar-network", "11"] > 5 * widths["bar-network", "0"]
    assert widths["bar-service", "11"] == pytest.approx(widths["bar-service", "0"], abs=0.2)
    assert picture.find("title").text == "Time to a response: before 15.6 ms, now 74.5 ms"


def test_what_was_not_measured_is_a_dotted_line_not_an_empty_bar(rich):
    unknown = Talk("minutes", 60.0, 1.0, None, 0, None, None, None, None)
    pair = dataclasses.replace(rich.pairs[0], before=None, now=unknown)
    picture = ET.fromstring(bars.response_bars(pair, 10.0))
    assert [mark.get("class") for mark in picture.iter("line")] == ["bar-unknown", "bar-unknown"]
    assert "not measured" in picture.find("title").text


def timed(order, slower_by, response_ms, service_ms=None):
    network = None if service_ms is None else response_ms - service_ms
    talk = Talk("minutes", 60.0, 1.0, None, 100, response_ms, service_ms, network, None)
    impact = dataclasses.replace(days.pairs_of(None, 1, "t")[0], slower_by=slower_by)
    return SlowPair(order, impact, None, None, None, talk)


def test_the_split_draws_network_and_service_on_one_scale():
    picture = ET.fromstring(split_chart([timed(1, 4.0, 40.0, 10.0), timed(1, 2.0, 20.0, 10.0)]))
    boxes = [(box.get("class"), float(box.get("width"))) for box in picture.iter("rect")]
    network = [width for class_, width in boxes if class_ == "bar-network"]
    service = [width for class_, width in boxes if class_ == "bar-service"]
    assert network[0] == pytest.approx(3 * network[1], abs=0.2)
    assert service[0] == pytest.approx(service[1], abs=0.2)
    assert "40.0\u00a0ms: network 30.0, service 10.0" in "".join(picture.itertext())
    assert "not measured" in "".join(picture.itertext())


def test_a_response_that_cannot_be_split_is_an_empty_frame():
    picture = ET.fromstring(split_chart([timed(1, 4.0, 40.0)]))
    assert [box.get("class") for box in picture.iter("rect")] == ["bar-whole"]


def test_every_order_has_a_pair_in_the_split():
    slow = [timed(1, 9.0 - number / 9, 40.0) for number in range(20)] + [timed(2, 1.5, 30.0)]
    drawn = measured(slow)
    assert len(drawn) == 12
    assert drawn[-1].order == 2
    assert drawn[:11] == slow[:11]


def test_hatching_stays_in_its_box():
    box = svg.hatch(10.0, 20.0, 30.0, 8.0)
    strokes = re.findall(r"M(\d+) (\d+)l(\d+)-(\d+)", box)
    assert strokes
    for x, y, right, up in (tuple(map(int, stroke)) for stroke in strokes):
        assert 10 <= x <= x + right <= 40
        assert 20 <= y - up <= y <= 28


def test_what_ended_before_the_day_is_not_called_now(rich):
    over = rate(rich, [1e-4, 1e-4, 1e-4])  # three minutes of the morning
    said = ["".join(label.itertext()) for label in draw_rate(over).iter("text")]
    assert "at last" in said
    assert "now" not in said


def test_a_receiver_that_says_that_no_light_arrives_is_told_from_one_that_says_nothing(chaos):
    dead = next(order for order in chaos.orders if order.fault.verdict.root_cause == "link_down")
    for one in dead.light:
        picture = ET.fromstring(charts.light_chart(one, dead.light, None, PERIOD, "u"))
        said = ["".join(label.itertext()) for label in picture.iter("text")]
        assert "no light" in said
        assert "no data" not in said
        assert [label for label in said if label.startswith("Rx was −")]
    assert not [one for order in chaos.orders if order is not dead for one in order.light if one.no_light]


def test_badges_stand_apart_where_heavy_lines_cross(chaos):
    picture = ET.fromstring(fabric_chart.fabric_chart(chaos.drawing))
    points = [(float(one.get("cx")), float(one.get("cy"))) for one in picture.iter("circle")]
    assert len(points) == 5
    assert min(math.dist(*two) for two in itertools.combinations(points, 2)) > 2 * fabric_chart.BADGE


def test_a_pair_that_was_not_timed_is_drawn_as_its_verdict_says(chaos):
    untimed = next(pair for pair in chaos.pairs if pair.now is None and pair.impact.network_ms)
    assert untimed.response_now_ms == untimed.impact.network_ms + untimed.impact.service_ms
    picture = ET.fromstring(bars.response_bars(untimed, 100.0))
    assert [mark.get("class") for mark in picture if mark.get("class")] == [
        "bar-unknown", "bar-network", "bar-service",
    ]  # fmt: skip


def test_a_day_of_calm_is_not_called_a_steady_month(chaos):
    def said(end, days_read=None):
        trend = next(one for one in chaos.trends if one.receiver == end)
        if days_read:
            calm = series([-3.0] * (24 * days_read + 1), step_s=3600)
            trend = dataclasses.replace(trend, light=calm, change_at=None, forecast=None)
        return trend_chart.said(trend, Clock(PERIOD.timezone)).replace("\N{NO-BREAK SPACE}", " ")

    dirty, falling = End("leaf3", "Ethernet49"), End("spine1", "Ethernet2")
    assert said(dirty, days_read=1) == "no step in 1 d of readings, too few for a trend"
    assert said(dirty, days_read=8) == "steady over 8 d: neither a step nor a lasting fall"
    assert said(dirty).startswith("fell by 6.2 dB on 17 Nov 03:1")
    assert said(falling).startswith("falls by 1.8 dB a month and reaches the low warning in ")


def test_of_calm_receivers_only_a_few_are_drawn(chaos):
    assert [trend.receiver for trend in chaos.trends] == [
        End("leaf4", "Ethernet50"), End("spine1", "Ethernet4"),  # the dead link's
        End("leaf3", "Ethernet49"), End("spine1", "Ethernet2"), End("leaf2", "Ethernet49"),
    ]  # fmt: skip
