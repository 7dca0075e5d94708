"""What stays in the draw is what torch's filters leave, and what is drawn has its frequencies."""

from __future__ import annotations

import functools
import itertools
import json
import math
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxformers import GenerationConfig
from jaxformers.generation import Plan, filters, processors

RECORDED = np.load(Path(__file__).parent / "filters.npz")
CASES = json.loads(RECORDED["cases"].tobytes())
SCORES = RECORDED["scores"]
KEPT = np.unpackbits(RECORDED["kept"], axis=-1, count=SCORES.shape[1]).astype(bool)

finished = jax.jit(processors.finished, static_argnums=0)
draw = jax.jit(filters.draw, static_argnums=0)
filtered = jax.jit(filters.filtered, static_argnums=0)
noise = jax.jit(filters.noise)

RARE = tuple(filters.RARE)
NEUTRAL = {**filters.USUAL, **filters.RARE}


def made(case: dict[str, Any], vocab: int = SCORES.shape[1]) -> tuple[processors.Program, processors.Values]:
    """What a recorded case asks for."""
    said = {"top_k": 0, **case["settings"], "eos_token_id": case.get("eos"), "num_beams": case.get("beams", 1)}
    plan = Plan.of(GenerationConfig(**said, do_sample=True), vocab)
    return plan.program, processors.Values(plan.shared, plan.columns([plan.settings]))


def of_rows(settings: list[dict[str, Any]]) -> dict[str, np.ndarray]:
    """Settings of each row, for a program that has all filters."""
    return {name: np.array([one.get(name, off) for one in settings], off.dtype) for name, off in NEUTRAL.items()}


def softmax(x: np.ndarray) -> np.ndarray:
    odds = np.exp(x - x.max(-1, keepdims=True))
    return odds / odds.sum(-1, keepdims=True)


# -- against torch ----------------------------------------------------------------------------------------------------


def check(number: int, answer: np.ndarray) -> None:
    """The recorded answer: which tokens are kept, and their scores."""
    case = CASES[number]
    np.testing.assert_array_equal(np.isfinite(answer), KEPT[number], err_msg=str(case))
    sums = np.where(KEPT[number], answer, 0).sum(-1)
    np.testing.assert_allclose(sums, RECORDED["sums"][number], rtol=2e-5, atol=2e-3, err_msg=str(case))


@pytest.mark.parametrize("beams", [1, 2, 3])
def test_each_row_keeps_what_torch_keeps_with_its_settings(beams):
    numbers = [
        i for i, case in enumerate(CASES) if case["beams"] == beams and "renormalize_logits" not in case["settings"]
    ]
    least = 1 if beams == 1 else 1 + len(CASES[numbers[0]]["eos"])
    settings = of_rows([CASES[i]["settings"] for i in numbers for _ in SCORES])
    answers = filtered(filters.Shape(RARE, least), settings, np.tile(SCORES, (len(numbers), 1)))
    for number, answer in zip(numbers, np.split(np.asarray(answers), len(numbers)), strict=True):
        check(number, answer)


@pytest.mark.parametrize("settings", [{"temperature": 0.7, "top_k": 50, "top_p": 0.9}, {"renormalize_logits": True}])
@pytest.mark.parametrize("beams", [1, 3])
def test_a_config_keeps_what_torch_keeps(beams, settings):
    number = next(
        i for i, case in enumerate(CASES) if case["beams"] == beams and settings.items() <= case["settings"].items()
    )
    program, values = made(CASES[number])
    assert set(program.filters.rare) == CASES[number]["settings"].keys() & filters.RARE.keys()
    check(number, np.asarray(finished(program, values, SCORES)))


# -- against the definitions, in plain numpy --------------------------------------------------------------------------


def keeps(name: str, value: float, x: np.ndarray, least: int) -> np.ndarray:
    """A filter of one row by its definition, in float64 and with sorting; equals of what is kept are kept."""
    p = softmax(x.astype(np.float64))
    floor = np.sort(x)[::-1][min(least, len(x)) - 1]
    if name == "top_k":
        return x >= (np.sort(x)[::-1][min(max(int(value), least), len(x)) - 1] if value else -np.inf)
    if name == "top_p":
        before = np.array([p[x > one].sum() for one in x])
        return (before < value) | (x >= floor) if value < 1 else np.ones(len(x), bool)
    if name == "min_p":
        return (p >= value * p.max()) | (x >= floor)
    logs = np.log(np.maximum(p, 1e-300))
    entropy = -(p * logs).sum()
    if name == "typical_p":
        if value >= 1:
            return np.ones(len(x), bool)
        away = np.where(p > 0, np.abs(-logs - entropy), np.inf)
        order = np.argsort(away, kind="stable")
        last = min(int((np.cumsum(p[order]) < value).sum()), len(x) - 1)
        return (away <= away[order][last]) | (away <= np.sort(away)[least - 1])
    if name == "epsilon_cutoff":
        return (p >= value) | (x >= floor)
    assert name == "eta_cutoff"
    return (p >= min(value, math.sqrt(value) * math.exp(-entropy))) | (x >= floor)


def reference(values: dict[str, float], x: np.ndarray, least: int) -> np.ndarray:
    """All filters of one row in order; −∞ where one drops a token."""
    x = (x / np.float32(values.get("temperature", 1.0))).astype(np.float32)
    for name in ("top_k", "top_p", "min_p", "typical_p", "epsilon_cutoff", "eta_cutoff"):
        if name in values:
            x = np.where(keeps(name, values[name], x, least), x, -np.inf)
    return x


SHARES = functools.partial(st.floats, width=32, allow_subnormal=False)  # programs take smaller numbers for zero
VALUES = {
    "temperature": st.sampled_from([0.1, 0.7, 1.0, 1.9, 20.0]),
    "top_k": st.integers(0, 220),
    "top_p": SHARES(0, 1),
    "min_p": SHARES(0, 1),
    "typical_p": SHARES(2**-10, 1),
    "epsilon_cutoff": SHARES(0, 0.5),
    "eta_cutoff": SHARES(0, 0.5),
}


@settings(max_examples=60)
@given(data=st.data())
@pytest.mark.parametrize("least", [1, 3])
@pytest.mark.parametrize("vocab", [3, 65, 66, 200])
def test_any_settings_keep_what_the_definitions_keep(vocab, least, data):
    rng = np.random.default_rng(data.draw(st.integers(0, 2**31)))
    spread = data.draw(st.lists(st.sampled_from([0.0, 0.3, 1.0, 3.0, 10.0, 80.0]), min_size=4, max_size=4))
    x = (rng.normal(0, 1, (4, vocab)) * np.array(spread)[:, None]).astype(np.float32)
    if data.draw(st.booleans()):  # as numbers of 16 bits become equal
        x = (x.view(np.int32) & ~0xFFFF).view(np.float32)
    x[rng.random(x.shape) < data.draw(st.sampled_from([0.0, 0.5]))] = -np.inf
    x[:, 1] = x.max(-1).clip(-1e30)
    own = [data.draw(st.fixed_dictionaries({}, optional=VALUES)) for _ in range(4)]
    answer = np.asarray(filtered(filters.Shape(RARE, least), of_rows(own), x))
    for row in range(4):
        expected = reference(own[row], x[row], least)
        np.testing.assert_array_equal(np.isfinite(answer[row]), np.isfinite(expected), err_msg=str(own[row]))
        np.testing.assert_allclose(answer[row], expected, rtol=1e-6)


@given(data=st.data())
def test_places_are_in_the_order_of_numbers(data):
    numbers = np.array(data.draw(st.lists(st.floats(width=32, allow_nan=False), min_size=2, max_size=20)), np.float32)
    places = np.asarray(filters._place(numbers)).astype(np.int64)
    np.testing.assert_array_equal(np.asarray(filters._number(filters._place(numbers))), numbers)
    for a, b in itertools.pairwise(numbers):
        if a != b:
            assert (a < b) == (places[list(numbers).index(a)] < places[list(numbers).index(b)])


# -- drawing ----------------------------------------------------------------------------------------------------------

DRAWS, AT_ONCE = 20_000, 2_000

DRAWN = [
    {},
    {"temperature": 0.4},
    {"temperature": 2.5},
    {"top_k": 5},
    {"top_k": 120},
    {"top_p": 0.3},
    {"top_p": 0.9},
    {"min_p": 0.05},
    {"typical_p": 0.9},
    {"epsilon_cutoff": 0.003},
    {"eta_cutoff": 0.003},
    {"temperature": 0.7, "top_k": 50, "top_p": 0.9},
    {"temperature": 1.3, "top_k": 100, "top_p": 0.8},
    {"top_p": 0.95, "typical_p": 0.8},
    {"temperature": 1.5, "top_k": 150, "top_p": 0.95, "min_p": 0.01, "typical_p": 0.9, "epsilon_cutoff": 0.002},
]


def frequencies(settings: dict[str, Any], scores: np.ndarray) -> np.ndarray:
    """How often each token comes in DRAWS draws."""
    rows = np.broadcast_to(scores, (AT_ONCE, len(scores)))
    counts = np.zeros(len(scores), int)
    for i in range(DRAWS // AT_ONCE):
        chance = noise(jax.random.key(0), np.arange(AT_ONCE), np.full(AT_ONCE, i))
        ids = draw(filters.Shape(RARE), of_rows([settings] * AT_ONCE), rows, chance)
        counts += np.bincount(np.asarray(ids), minlength=len(scores))
    return counts


def surprise(counts: np.ndarray, expected: np.ndarray) -> float:
    """How likely frequencies are at least so far from the expected ones (chi-square); rare tokens are one."""
    expected = expected * counts.sum()
    rare = expected < 5
    groups = [(counts[~rare], expected[~rare])]
    if expected[rare].sum() >= 5:
        groups.append((counts[rare].sum(keepdims=True), expected[rare].sum(keepdims=True)))
    seen, wanted = (np.concatenate(parts) for parts in zip(*groups, strict=True))
    if len(seen) < 2:
        return 1.0
    distance = ((seen - wanted) ** 2 / wanted).sum()
    return float(jax.scipy.special.gammaincc((len(seen) - 1) / 2, distance / 2))


@pytest.mark.parametrize("settings", DRAWN, ids=str)
def test_frequencies_are_those_that_torchs_filters_leave(settings):
    number = next(i for i, case in enumerate(CASES) if case["settings"] == settings and case["beams"] == 1)
    for row in (1, 2, 3):
        hot = SCORES[row] / np.float32(settings.get("temperature", 1.0))
        expected = softmax(np.where(KEPT[number][row], hot, -np.inf).astype(np.float64))
        counts = frequencies(settings, SCORES[row])
        assert counts[~KEPT[number][row]].sum() == 0
        assert surprise(counts, expected) > 1e-3


def test_the_chi_square_test_would_see_a_wrong_draw():
    counts = frequencies({"temperature": 1.1}, SCORES[1])
    assert surprise(counts, softmax(SCORES[1].astype(np.float64))) < 1e-3


def test_draws_of_a_large_vocabulary_reach_its_last_block():
    scores = np.full(SCORES.shape[1], -20, np.float32)
    scores[[3, 129, 298, 299]] = 1.0
    counts = frequencies({}, scores)
    assert counts[[3, 129, 298, 299]].sum() == DRAWS
    assert (abs(counts[[3, 129, 298, 299]] - DRAWS / 4) < 300).all()


def test_a_row_draws_the_same_whatever_stands_beside_it():
    """Flat rows have to look at the whole vocabulary, and must not take the others along."""
    rng = np.random.default_rng(0)
    scores = rng.normal(0, 1, (6, 500)).astype(np.float32) * np.float32([[1], [6], [0.1], [6], [2], [9]])
    own = {**filters.USUAL, "top_p": np.full(6, 0.9, np.float32), "top_k": np.int32([0, 50, 0, 0, 70, 0])}
    shape, key = filters.Shape(), jax.random.key(3)
    for step in range(40):
        streams, counts = np.arange(6), np.full(6, step)
        together = np.asarray(draw(shape, own, scores, noise(key, streams, counts)))
        turned = np.array([3, 0, 5, 1])
        mine = {name: np.broadcast_to(value, 6)[turned] for name, value in own.items()}
        apart = np.asarray(draw(shape, mine, scores[turned], noise(key, streams[turned], counts[turned])))
        np.testing.assert_array_equal(apart, together[turned])


def test_noise_is_the_rows_own():
    key = jax.random.key(0)
    one = np.asarray(noise(key, np.array([0, 1, 2]), np.array([5, 5, 6])))
    other = np.asarray(noise(key, np.array([2, 0]), np.array([6, 5])))
    np.testing.assert_array_equal(other, one[[2, 0]])
    assert len(np.unique(one)) == 6
    assert not np.isin(np.asarray(noise(jax.random.key(1), np.array([0]), np.array([5]))), one).any()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_scores_without_a_meaning_still_give_an_id(bad):
    scores = np.full((4, 300), bad, np.float32)
    settings = of_rows([{}, {"top_k": 5}, {"top_p": 0.5}, {"top_k": 100, "typical_p": 0.5}])
    ids = np.asarray(draw(filters.Shape(RARE), settings, scores, np.full((4, 2), 0.999, np.float32)))
    assert ((ids >= 0) & (ids < 300)).all()


@pytest.mark.parametrize(("chance", "ids"), [(0.0, [40, 40]), (1 - 2**-24, [79, 289])])
def test_no_dropped_token_is_drawn_at_the_ends_of_chance(chance, ids):
    scores = np.full((2, 300), -np.inf, np.float32)
    scores[0, 40:80] = np.linspace(0, 1, 40)
    scores[1, 40:290] = np.linspace(0, 1, 250)
    drawn = draw(filters.Shape(RARE), of_rows([{}, {}]), scores, np.full((2, 2), chance, np.float32))
    np.testing.assert_array_equal(drawn, ids)


# -- what it costs ----------------------------------------------------------------------------------------------------


def test_other_values_of_the_usual_settings_are_no_other_program():
    usual = [{}, {"top_k": 50}, {"top_p": 0.9}, {"min_p": 0.1, "temperature": 0.3}, {"top_k": 20, "top_p": 0.8}]
    programs, values = zip(*(made({"settings": one}) for one in usual), strict=True)
    assert len(set(programs)) == 1
    assert len({jax.tree.structure(v) for v in values}) == 1
    assert len({tuple((x.shape, str(x.dtype)) for x in jax.tree.leaves(v)) for v in values}) == 1


def test_the_vocabulary_is_never_sorted():
    """XLA's own top-k finds the best of a row in a tenth of the time; it is lost as soon as anything else is asked."""
    shape = filters.Shape(RARE)
    scores = np.zeros((2, 300), np.float32)
    text = draw.lower(shape, NEUTRAL, scores, np.zeros((2, 2), np.float32)).compile().as_text()
    assert '"TopK"' in text
    assert " sort(" not in text
