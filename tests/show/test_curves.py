"""Figures and HTML: what is drawn is what was logged, and no text of a model becomes markup."""

from __future__ import annotations

import math
from html.parser import HTMLParser
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from matplotlib.text import Text

from minialign.core.history import History
from minialign.show import curves, transcripts

EVIL = '<script>alert("x")</script> & \'><img src=x onerror=y>'

pytestmark = pytest.mark.usefixtures("figures_closed")


def run(seed: int = 0, n: int = 40) -> History:
    rng, history = np.random.default_rng(seed), History()
    for step in range(n):
        history.log(step, loss=seed + 1 / (step + 1), kl=0.01 * step, reward=rng.normal())
    return history


def drawn(figure) -> list[str]:
    figure.canvas.draw()
    texts = [t.get_text() for t in figure.findobj(Text)]
    return [t for t in texts if t]


def tags(html: str) -> list[str]:
    found: list[str] = []
    parser = HTMLParser()
    parser.handle_starttag = lambda tag, attrs: found.append(tag)
    parser.feed(html)
    return found


def said(html: str) -> str:
    parts: list[str] = []
    parser = HTMLParser()
    parser.handle_data = parts.append
    parser.feed(html)
    return "".join(parts)


class Estimate:
    """As of `evaluate`, here with its interval given."""

    def __init__(self, mean: float, interval: tuple[float, float]) -> None:
        self.mean, self.interval = mean, interval


def test_the_colours_are_those_of_the_course():
    assert curves.COLOURS == {
        "policy": "#0072B2",
        "reference": "#7F7F7F",
        "chosen": "#009E73",
        "rejected": "#D55E00",
        "value": "#CC79A7",
        "reward": "#B07A00",
        "kl": "#7B61C4",
    }


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("loss", "policy"),
        ("reward_mean", "reward"),
        ("rewards/rejected", "rejected"),
        ("ref_kl", "kl"),
        ("evaluation", "policy"),
        ("base", "reference"),
        ("values", "value"),
    ],
)
def test_names_have_roles(name, expected):
    assert curves.role(name) == expected


def test_one_run_has_a_thin_raw_and_a_thick_smoothed_line():
    _, (ax,) = curves.curves(run(), "reward", smooth=5)
    raw, thick = ax.lines
    np.testing.assert_allclose(raw.get_ydata(), run()["reward"])
    assert thick.get_ydata()[10] == pytest.approx(run()["reward"][8:13].mean())
    assert raw.get_linewidth() < thick.get_linewidth()
    assert thick.get_color() == curves.COLOURS["reward"]


def test_no_smoothing_draws_one_line():
    _, (ax,) = curves.curves(run(), "kl", smooth=1)
    (line,) = ax.lines
    np.testing.assert_allclose(line.get_ydata(), run()["kl"])
    assert line.get_linestyle() == ":"
    with pytest.raises(ValueError, match="smooth is 0, but must be at least 1"):
        curves.curves(run(), smooth=0)


def test_seeds_become_a_mean_and_a_band_of_their_spread():
    figure, (ax,) = curves.curves([run(0), run(1), run(5)], "loss", smooth=1)
    np.testing.assert_allclose(ax.lines[0].get_ydata(), run(2)["loss"])
    (band,) = ax.collections
    points = band.get_paths()[0].vertices
    assert points[:, 1].min() == pytest.approx(run(0)["loss"].min())
    assert points[:, 1].max() == pytest.approx(run(5)["loss"].max())
    assert "line: mean of 3 seeds; band: lowest to highest seed" in drawn(figure)


def test_titles_units_and_the_baseline_are_written():
    figure, axes = curves.curves(
        run(),
        "reward",
        "kl",
        titles=["Reward does not move", "KL grows"],
        units={"kl": "nats"},
        baseline={"reward": 0.5},
        baseline_label="base model",
        title="A run",
    )
    texts = drawn(figure)
    assert {"Reward does not move", "KL grows", "kl (nats)", "base model", "A run"} <= set(texts)
    assert texts.count("step") == 2
    assert [line.get_ydata()[0] for line in axes[0].lines].count(0.5) == 1


def test_groups_and_shared_panels_are_labelled_at_their_lines():
    groups = {"base": run(0), "tuned": [run(1), run(2)]}
    figure, axes = curves.curves(groups, ("loss", "kl"), "reward")
    assert {"base", "tuned", "base, loss", "tuned, kl"} <= set(drawn(figure))
    assert len(axes) == 2 and not figure.legends and not axes[0].get_legend()
    colours = {to_hex(line.get_color()).upper() for line in axes[1].lines}
    assert colours == {curves.COLOURS["reference"], curves.COLOURS["policy"]}


def test_labels_do_not_overlap():
    groups = {f"run {i}": run(0) for i in range(5)}
    figure, (ax,) = curves.curves(groups, "loss")
    figure.canvas.draw()
    names = [text for text in ax.texts if text.get_text() in groups]
    boxes = sorted((name.get_window_extent() for name in names), key=lambda box: box.y0)
    assert len(boxes) == 5
    assert all(a.y1 <= b.y0 + 3 for a, b in pairwise(boxes))


def test_a_schedule_is_drawn_as_it_is_set():
    history = History()
    for step in range(200):
        history.log(step, learning_rate=min(1.0, (step + 1) / 10), loss=float(step % 2))
    _, (rate, loss) = curves.curves(history, "learning_rate", "loss")
    assert len(rate.lines) == 1 and rate.lines[0].get_ydata()[0] == 0.1
    assert rate.lines[0].get_ydata().argmax() == 9
    assert len(loss.lines) == 2 and set(loss.lines[1].get_ydata()[50:150]) != {0.0, 1.0}


@pytest.mark.parametrize("sign", [1, -1])
def test_a_spike_of_the_first_steps_does_not_set_the_scale(sign):
    history = History()
    for step in range(100):
        history.log(step, loss=sign * (40.0 if step == 1 else 1 + 0.5 * math.sin(step)))
    _, (ax,) = curves.curves(history, "loss")
    low, high = ax.get_ylim()
    assert max(abs(low), abs(high)) < 2
    assert [t for t in ax.texts if f"{sign * 40} at step 1" in t.get_text()]
    _, (ax,) = curves.curves(history, "loss", baseline=60)
    assert ax.get_ylim()[1] > 60


def test_later_spikes_keep_their_scale():
    history = History()
    for step in range(100):
        history.log(step, loss=40.0 if step == 50 else 1.0)
    _, (ax,) = curves.curves(history, "loss")
    assert ax.get_ylim()[1] > 40 or ax.get_autoscaley_on()
    assert not ax.texts


def test_a_run_that_diverges_is_drawn():
    history = run()
    history.log(40, loss=float("inf"), kl=float("nan"))
    figure, axes = curves.curves(history, "loss", "kl")
    figure.canvas.draw()
    assert np.isnan(axes[0].lines[-1].get_ydata()[-1])


def test_all_metrics_when_none_is_named_and_a_single_point():
    assert len(curves.curves(run())[1]) == 3
    _, (ax,) = curves.curves(run(n=1), "loss")
    assert ax.lines[-1].get_marker() == "o"


def test_curves_says_what_is_missing():
    with pytest.raises(ValueError, match="there is no History to draw"):
        curves.curves([], "loss")
    with pytest.raises(ValueError, match="1 titles for 2 panels; give one for each"):
        curves.curves(run(), "loss", "kl", titles=["a"])
    with pytest.raises(KeyError, match="no metric 'los' was logged"):
        curves.curves(run(), "los")


def test_bars_write_values_and_draw_intervals():
    figure, ax = curves.bars(
        ["base", "tuned", "worse"],
        [0.25, 0.5, -0.125],
        [0.05, 0.1, 0.025],
        title="Tuning helps",
        unit="utility",
        baseline=0.1,
        form="{:.3f}",
    )
    assert {"0.250", "0.500", "−0.125", "Tuning helps", "utility", "chance"} <= set(drawn(figure))
    ends = [line.get_xdata() for line in ax.lines[:3]]
    np.testing.assert_allclose(ends, [[0.2, 0.3], [0.4, 0.6], [-0.15, -0.1]])
    assert to_hex(ax.patches[0].get_facecolor()).upper() == curves.COLOURS["reference"]


def test_bars_take_estimates_and_pairs():
    _, ax = curves.bars(["a", "b"], [Estimate(0.5, (0.4, 0.7)), Estimate(0.1, (0.0, 0.3))])
    np.testing.assert_allclose([line.get_xdata() for line in ax.lines[:2]], [[0.4, 0.7], [0, 0.3]])
    _, ax = curves.bars(["a"], [0.5], [(0.4, 0.7)])
    np.testing.assert_allclose(ax.lines[0].get_xdata(), [0.4, 0.7])
    with pytest.raises(ValueError, match="1 values, 2 errors for 1 labels"):
        curves.bars(["a"], [0.5], [0.1, 0.1])
    with pytest.raises(ValueError, match="2 colours for 1 bars"):
        curves.bars(["a"], [0.5], colours=["policy", "reward"])


def test_compare_names_its_groups_once():
    groups = {"before": [0.1, 0.2], "after": [0.4, 0.3]}
    errors = {"after": [0.1, 0.1]}
    figure, ax = curves.compare(["lists", "sums"], groups, errors, form="{:.0%}")
    texts = drawn(figure)
    assert {"10%  before", "40%  after", "20%", "30%"} <= set(texts)
    assert len(ax.patches) == 4
    assert ax.get_ylim()[0] > ax.get_ylim()[1]  # the first label on top
    fills = [to_hex(patch.get_facecolor()).upper() for patch in ax.patches]
    assert fills == [curves.COLOURS["reference"]] * 2 + [curves.COLOURS["policy"]] * 2


def test_long_titles_are_wrapped_to_the_figure():
    figure, _ = curves.curves(run(), "loss", "kl", titles="A long finding " * 6)
    figure.canvas.draw()
    for ax in figure.axes:
        (drawn_title,) = [t for t in ax.findobj(Text) if "finding" in t.get_text()]
        assert drawn_title.get_window_extent().x1 <= figure.bbox.x1


def test_token_spans_escape_and_mark():
    tokens = [EVIL, " a", "\n", "\t", "\x00", "\u202e", "", "é"]
    html = curves.token_spans(tokens, title=EVIL)
    assert set(tags(html)) <= {"div", "span", "br"}
    assert EVIL.replace(" ", "·") in said(html) and EVIL in said(html)
    for mark in ("·a", "⏎", "⇥", "\u2400", "U+202E", "∅", "é"):
        assert mark in said(html)
    assert "\u202e" not in html and html.count("<br>") == 1


def test_token_spans_show_values_and_kinds():
    html = curves.token_spans(
        ["a", "b", "c", "d"],
        values=[1.0, -2.0, float("nan"), 0.5],
        kinds=["prompt", "completion", None, "padding"],
    )
    assert 'title="token 1: &#x27;b&#x27;, completion, -2"' in html
    assert "background:rgba(213,94,0,0.65)" in html  # the largest, negative
    assert "background:rgba(0,158,115,0.33)" in html  # half of it, positive
    assert "border-bottom:2px solid #0072B2" in html and "−2" in said(html)
    assert "rgba(0,114,178" in curves.token_spans(["a"], values=[0.5])  # nothing negative: blue
    assert "0.33" in curves.token_spans(["a"], values=[0.5], limit=1.0)


def test_token_spans_write_numbers_below_their_tokens():
    html = curves.token_spans(["a", "b"], values=[1.25, float("nan")], numbers="+.1f")
    assert said(html).startswith("a+1.2b") and said(curves.token_spans(["a"], [1.0])) == "a01"
    assert said(curves.token_spans(["a"], [-1.0])).endswith("−10")  # no end that no value reaches
    nearly = {"values": [-0.04, 0.04, -0.06], "numbers": "+.1f"}
    assert said(curves.token_spans(["a", "b", "c"], **nearly, key=False)) == "a0.0b0.0c-0.1"


def test_token_spans_survive_empty_and_constant_input():
    assert said(curves.token_spans([])) == ""
    curves.token_spans(["a", "b"], values=[0.0, 0.0])
    curves.token_spans(["a"], values=[float("inf")])


def test_token_spans_refuse_what_does_not_fit():
    with pytest.raises(ValueError, match="1 values for 2 tokens"):
        curves.token_spans(["a", "b"], values=[1.0])
    with pytest.raises(ValueError, match="kind 'promt' has no colour; use one of policy"):
        curves.token_spans(["a"], kinds=["promt"])


def test_table_escapes_formats_and_cuts():
    rows = [
        {EVIL: EVIL, "n": 12000, "x": 0.123456, "ok": True, "t": "line\nline"},
        {EVIL: "y" * 50, "n": 1, "x": float("nan"), "ok": np.bool_(False), "t": " "},
    ]
    html = curves.table(rows, title=EVIL, max_chars=len(EVIL))
    assert set(tags(html)) <= {"div", "span", "table", "thead", "tbody", "tr", "th", "td"}
    text = said(html)
    assert text.count(EVIL) == 3
    for part in ("12,000", "0.1235", "yes", "no", "–", "line\nline", "(empty, 1 characters)"):
        assert part in text
    assert "… (9 characters)" in said(curves.table([{"a": "123456789"}], max_chars=8))
    assert "tex2jax_ignore" in html  # a $ in model text starts no formula
    assert curves.table(pd.DataFrame({"a": [1]})) == curves.table([{"a": 1}])


ITEMS = [{"prompt": f"{EVIL} {i}", "base": "a", "tuned": EVIL, "reward": i / 2} for i in range(6)]


def test_the_transcript_holds_every_item_without_a_widget():
    html = transcripts.transcript(ITEMS, rows=4)
    assert not {"script", "img"} & set(tags(html))
    assert all(f"{EVIL} {i}" in said(html) for i in range(6)) and "2 more" in said(html)
    assert "details" not in transcripts.transcript(ITEMS[:4], rows=4)
    with pytest.raises(ValueError, match="0 items in tables of 4 rows; give at least 1"):
        transcripts.transcript([])


def test_the_browser_shows_the_chosen_item():
    slider, panel = transcripts.browser(ITEMS).children
    assert f"{EVIL} 0" in said(panel.value)
    slider.value = 4
    assert f"{EVIL} 3" in said(panel.value) and f"{EVIL} 0" not in said(panel.value)
    assert not {"script", "img"} & set(tags(panel.value))


def test_browse_shows_the_table_first(monkeypatch):
    shown = []
    monkeypatch.setattr(transcripts, "display", shown.append)
    assert transcripts.browse(ITEMS, title="Samples") is None
    assert [type(x).__name__ for x in shown] == ["HTML", "VBox"]
    transcripts.browse(ITEMS[:1])
    assert len(shown) == 3  # nothing to slide through


def test_flow_draws_boxes_and_arrows_and_refuses_strangers():
    boxes = {"a": (0, 0, "first", "policy"), "b": (2, 0, "second", "#123456")}
    _, ax = curves.flow(boxes, {("a", "b"): "goes on", ("b", "a"): ""}, title="A loop")
    assert {"first", "second", "goes on"} <= {text.get_text() for text in ax.texts}
    assert ax.get_title(loc="left") == "A loop"
    with pytest.raises(KeyError, match="an arrow joins 'c', but the boxes are a, b"):
        curves.flow(boxes, {("a", "c"): ""})
