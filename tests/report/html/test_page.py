"""The page as text: its sections, its size, and that nothing in it can break it or load anything."""

import re
from html.parser import HTMLParser

import numpy as np
import pytest
from plotly.offline import get_plotlyjs

from cpvae_jax.report import profile
from cpvae_jax.report.html import page, pixels
from tests.report.html.conftest import HOSTILE

LOADS = re.compile(r"""(?:src|href|action|data|poster)\s*=\s*["']?(?!data:|\#)[^"'\s>]""")
CALLS = ("@import", "url(", "fetch(", "XMLHttpRequest", "import(", "sendBeacon", "WebSocket")


def scores(**more):
    """A metrics.json of a run of one seed."""
    bound = {"mean": -3.0, "standard_error": 0.1}
    used = {"effective_number": 2.5, "information": 0.9}
    seed = {"seed": 4, "best_epoch": 2, "test_bound": bound, "categories": used}
    return {
        "sessions": [],
        "source": "somewhere",
        "examples": {"train": 40, "valid": 5, "test": 5},
        "config": {
            "dataset": "things.npz",
            "model": {"prior": "cp", "levels": 1, "K": 3},
            "training": {"epochs": 3},
        },
        "epochs": 3,
        "stopped_early": False,
        "seconds_training": 3.0,
        "kept_seed": 4,
        "warnings": [],
        "seeds": [seed],
        **more,
    }


def table_content(K=3, names=("size", "colour"), points=20, most=12):
    """What `content.of_run` could say of a table."""
    rng = np.random.default_rng(0)
    categories = rng.integers(0, K, 5 * K)
    columns = {name: rng.normal(size=5 * K) for name in names[:-1]}
    columns[names[-1]] = np.array([f"{HOSTILE}{i % 2}" for i in range(5 * K)])
    rows = {
        "columns": list(names),
        "samples": [["1", HOSTILE]],
        "nearest": [["2", HOSTILE]],
        "rows": [17],
        "labels": [HOSTILE],
    }
    return {
        "format": page.FORMAT,
        "name": HOSTILE,
        "shape": [len(names)],
        "categories": K,
        "has_categories": K > 1,
        "inferred": True,
        "shares": [1 / K] * K,
        "prior": [1 / K] * K,
        "codes": {
            "x": [0.1] * points,
            "y": [float("nan")] * points,
            "category": [0] * points,
            "probability": [0.5] * points,
            "row": list(range(points)),
            "label": [HOSTILE] * points,
            "axes": ["first", "second"],
        },
        "test_counts": [2] * K,
        "labels": [[[HOSTILE, 2]]] * K,
        "labelled": [2] * K,
        "profile": profile.of_categories(columns, categories, K, most),
        "rows": [rows] * K,
    }


def image_content(K, shape):
    """What `content.of_run` could say of noise, which no PNG makes smaller."""
    rng = np.random.default_rng(0)
    num, size = pixels.plan(shape, K)
    across = min(6, num)
    full = num - num % across

    def picture(n):
        return pixels.grid(rng.random((n, *size, *shape[2:])), size, across)

    found = table_content(K, points=2000)
    del found["profile"], found["rows"]
    who = {"rows": [0] * full, "labels": [None] * full, "across": across, "down": full // across}
    found["images"] = [
        {"samples": picture(full), "nearest": picture(full), "first": picture(1), **who}
        for _ in range(K)
    ]
    return found


def without_plotly(text):
    assert get_plotlyjs() in text
    return text.replace(get_plotlyjs(), "")


class Elements(HTMLParser):
    """The elements of a page, the texts in it, and whether they close in order."""

    VOID = ("meta", "link", "img", "br")

    def __init__(self, text):
        super().__init__()
        self.found, self.open, self.texts = [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, self.getpos()

    def handle_data(self, data):
        self.texts.append(data)


HISTORY = [
    {"epoch": e, **{f"{part}_{name}": [1.0 / e, float("nan")] for part in ("train", "valid")
     for name in ("bound", "reconstruction", "kl_c", "kl_z")}}
    for e in range(1, 1001)
]  # fmt: skip


def test_all_sections_are_there_and_names_cannot_break_them():
    stable = {"mean": 0.8, "min": 0.7, "max": 0.9}
    stable["pairs"] = [{"seeds": pair, "ari": 0.8} for pair in ([0, 4], [0, 7], [4, 7])]
    told = scores(warnings=[HOSTILE], stability=stable, source=HOSTILE)
    told["config"]["model"]["prior"] = HOSTILE
    text = page.render(table_content(names=(HOSTILE, "colour")), told, HISTORY)
    elements = Elements(text)
    assert elements.open == []
    tags = [tag for tag, _ in elements.found]
    ids = [attributes["id"] for _, attributes in elements.found if "id" in attributes]
    wanted = ["summary", "categories", "codes", "curves", "scores", "settings"]
    assert [one for one in ids if one in wanted] == wanted
    assert len(set(ids)) == len(ids)
    assert not any("onclick" in attributes for _, attributes in elements.found)
    assert tags.count("script") == 3
    words = "".join(elements.texts)
    assert words.count(HOSTILE) > 10
    assert "1 warning" in words
    assert "Stability between seeds" in words
    assert f"VAE with the prior {HOSTILE}" in words


def test_the_page_loads_nothing():
    text = without_plotly(page.render(table_content(), scores(source="http://a.b"), HISTORY))
    assert not LOADS.findall(text)
    assert not [call for call in CALLS if call in text]
    assert not re.findall(r"https?://", text.replace("http://a.b", ""))


def test_numbers_that_are_not_finite_become_null():
    text = page.render(table_content(), scores(), HISTORY)
    assert "NaN" not in without_plotly(text)
    assert page.script_json([float("inf"), (1.5, np.float64(2))]) == "[null,[1.5,2.0]]"


@pytest.mark.parametrize("shape", [(28, 28), (64, 64, 3)])
def test_five_hundred_categories_of_noise_stay_below_ten_megabytes(shape):
    content = image_content(500, shape)
    text = page.render(content, scores(), HISTORY)
    assert len(text.encode()) < 10_000_000
    assert text.count('role="tabpanel"') == 500


def test_five_hundred_categories_of_a_table_stay_below_ten_megabytes():
    names = tuple(f"a column with a long name {i}" for i in range(40))
    text = page.render(table_content(500, names, points=2000, most=8), scores(), HISTORY)
    assert len(text.encode()) < 10_000_000


def test_a_model_without_categories_has_no_selector():
    content = table_content(K=1)
    text = without_plotly(page.render(content, scores(), []))
    assert 'role="tab' not in text
    assert 'data-figure="shares"' not in text
    assert 'id="curves"' not in text
    assert "column" not in Elements(text).texts  # a profile would compare all rows with themselves


def test_the_curves_are_thinned_and_show_all_seeds():
    drawn = page.curves.figure(HISTORY, [3])
    assert len(drawn["data"]) == 4 * 2 * 2
    assert len(drawn["data"][0]["x"]) <= page.curves.EPOCHS
