import itertools
import json
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.answers import figures, lite0_weights, peers, records
from benchmarks.answers.arms import DEFAULT, LIKEWISE, Arm, all_arms, proposer_of
from benchmarks.answers.datasets import Data, digest_of_name, load
from benchmarks.answers.figures import (
    answers_needed,
    compare,
    embedding_figures,
    gap_closed,
    grouping,
)
from benchmarks.answers.measure import ALL, NONE, Bench, bench_of, references, run
from benchmarks.answers.plots import draw, style
from benchmarks.answers.selection import DedupeRule, disagreement
from benchmarks.answers.simulation import (
    ANNOTATORS,
    Annotator,
    answered,
    seconds_as_strips,
    session,
)
from benchmarks.answers.splits import split
from benchmarks.answers.tables import curve, gaps, report
from likewise.answers.pool import Proposal, pool_of
from likewise.answers.standing import Answer, Verdict

MUST = {
    "clean": {100: 0.75, 200: 0.85, 500: 0.90},
    "flips-5": {200: 0.70, 500: 0.78},
    "human": {200: 0.80, 500: 0.88},
}
"""Share of the gap (0 to 1) that so many answers must close on MNIST."""


def clusters(classes: int, each: int, spread: float = 0.25, unseen: int = 0) -> Data:
    """Gaussian blobs on the sphere: half of each class in the pool, half held out."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(classes, 16))
    vectors = np.repeat(centres, each, axis=0) + spread * 4 * rng.normal(size=(classes * each, 16))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    names = np.repeat([f"c{number:02}" for number in range(classes)], each)
    ids = np.array([digest_of_name(Path(str(number))) for number in range(len(names))])
    parts = split(ids.tolist(), names.tolist(), 0.5, unseen / classes)
    return Data("blobs", ids, vectors.astype(np.float32), names, parts)


def answer(a: int, b: int, verdict: Verdict, number: int) -> Answer:
    first, second = sorted((f"{a:032x}", f"{b:032x}"))
    return answered(Proposal(first, second, "random", 0.5, ""), verdict, number)


# Annotators.


@pytest.mark.parametrize("name", list(ANNOTATORS))
def test_error_rates_are_as_stated(name: str) -> None:
    annotator = ANNOTATORS[name]
    classes = {f"{number:032x}": "ab"[number % 2] for number in range(160)}
    said: dict[bool, list[bool]] = {True: [], False: []}
    for pair in itertools.combinations(classes, 2):
        same = classes[pair[0]] == classes[pair[1]]
        said[same].append(annotator.verdict(pair, classes, seed=3) == "similar")
    assert 1 - np.mean(said[True]) == pytest.approx(annotator.misses, abs=0.015)
    assert np.mean(said[False]) == pytest.approx(annotator.false, abs=0.015)


def test_the_stated_rates() -> None:
    rates = {each.name: (each.misses, each.false) for each in ANNOTATORS.values()}
    assert rates == {
        "clean": (0.0, 0.0),
        "flips-5": (0.05, 0.05),
        "flips-10": (0.10, 0.10),
        "human": (0.17, 0.02),
    }


@settings(max_examples=50, deadline=None)
@given(
    st.integers(0, 10**6), st.integers(0, 10**6), st.integers(0, 9),
    st.floats(0, 1), st.floats(0, 1), st.booleans(),
)  # fmt: skip
def test_errors_are_persistent_and_nested(
    one: int, other: int, seed: int, misses: float, false: float, same: bool
) -> None:
    a, b = f"{one:032x}", f"{other + 10**7:032x}"
    classes = {a: "x", b: "x" if same else "y"}
    annotator = Annotator("any", misses, false)
    verdict = annotator.verdict((a, b), classes, seed)
    assert verdict == annotator.verdict((b, a), classes, seed)
    right = "similar" if same else "dissimilar"
    worse = Annotator("worse", min(1.0, misses * 1.5), min(1.0, false * 1.5))
    if verdict != right:
        assert worse.verdict((a, b), classes, seed) != right
    other_rate = Annotator("other", misses if same else 1.0, 1.0 if same else false)
    assert other_rate.verdict((a, b), classes, seed) == verdict


def test_an_unknown_class_makes_it_unsure() -> None:
    assert Annotator("any", 1.0, 1.0).verdict(("a", "b"), {"a": "x", "b": ""}, 0) == "unsure"


# Splits.


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 6), st.integers(1, 8), st.floats(0, 0.9), st.floats(0, 1))
def test_every_image_is_in_one_part(families: int, each: int, held: float, unseen: float) -> None:
    names = [f"f{family}/c{kind}" for family in range(families) for kind in "xy" * each]
    ids = [f"{number:032x}" for number in range(len(names))]
    parts = split(ids, names, held, unseen)
    rows = np.concatenate((parts.pool, parts.held, parts.unseen))
    assert sorted(rows.tolist()) == list(range(len(names)))
    apart = {names[row].split("/")[0] for row in parts.unseen}
    assert len(apart) == round(unseen * families)
    assert apart.isdisjoint(names[row].split("/")[0] for row in (*parts.pool, *parts.held))
    seen = families - len(apart)
    assert len(parts.held) == seen * 2 * round(held * each)


def test_a_split_depends_on_content_not_on_order() -> None:
    names = [f"c{number % 5}" for number in range(60)]
    ids = [f"{number:032x}" for number in range(60)]
    one = split(ids, names, 0.3, 0.2)
    two = split(ids[::-1], names[::-1], 0.3, 0.2)
    assert {ids[row] for row in one.held} == {ids[::-1][row] for row in two.held}
    assert {ids[row] for row in one.unseen} == {ids[::-1][row] for row in two.unseen}


# Figures against brute force.


def brute_force(vectors: np.ndarray, classes: Sequence[str]) -> dict[str, float]:
    precision, first, pairs = [], [], []
    for row, name in enumerate(classes):
        others = [each for each in range(len(classes)) if each != row]
        scores = {each: float(vectors[row].astype(np.float64) @ vectors[each]) for each in others}
        order = sorted(others, key=lambda each: -scores[each])
        pairs += [(scores[each], classes[each] == name) for each in others if each > row]
        relevant = sum(classes[each] == name for each in others)
        if not relevant:
            continue
        hits = [classes[each] == name for each in order]
        first.append(float(hits[0]))
        got = [sum(hits[: rank + 1]) / (rank + 1) for rank in range(relevant) if hits[rank]]
        precision.append(sum(got) / relevant)
    same = [score for score, is_same in pairs if is_same]
    other = [score for score, is_same in pairs if not is_same]
    wins = [(one > two) + 0.5 * (one == two) for one in same for two in other]
    return {
        "map@r": float(np.mean(precision)),
        "recall@1": float(np.mean(first)),
        "auc": float(np.mean(wins)),
    }


def test_embedding_figures_agree_with_slow_ones() -> None:
    data = clusters(4, 15, spread=0.5)
    names = [*data.classes[:-1].tolist(), "alone"]
    found = embedding_figures(data.vectors, np.array(names), compare(data.vectors, np.array(names)))
    expected = brute_force(data.vectors, names)
    assert {name: found[name] for name in expected} == pytest.approx(expected, abs=1e-5)
    assert 0 < found["eer"] < 0.5


def test_a_sample_of_pairs_stands_for_all_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    data = clusters(10, 20)
    every = compare(data.vectors, data.classes)
    monkeypatch.setattr(figures, "PAIRS", 2000)
    some = compare(data.vectors, data.classes)
    assert len(some.same) == 2000
    assert some.same.mean() == pytest.approx(0.5, abs=0.03)
    for wanted in (True, False):
        kind = some.same == wanted
        assert some.weights[kind].sum() == pytest.approx((every.same == wanted).sum())
    assert set(every.weights) == {1.0}


def test_one_class_has_no_pairs_to_tell_apart() -> None:
    data = clusters(1, 6)
    found = embedding_figures(data.vectors, data.classes, compare(data.vectors, data.classes))
    assert found["map@r"] == 1
    assert math.isnan(found["auc"])
    assert math.isnan(found["eer"])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(-1, 4), st.sampled_from("abc")), min_size=1, max_size=30))
def test_grouping_agrees_with_counting(images: list[tuple[int, str]]) -> None:
    groups = np.array([group for group, _ in images], dtype=np.int64)
    found = grouping(groups, np.array([name for _, name in images]))
    members: dict[int, list[str]] = {}
    for group, name in images:
        if group >= 0:
            members.setdefault(group, []).append(name)
    told = sum(map(len, members.values()))
    assert found.told == pytest.approx(told / len(images))
    assert found.groups == sum(len(each) > 1 for each in members.values())
    if told:
        right = sum(max(map(each.count, each)) for each in members.values())
        assert found.purity == pytest.approx(right / told)
    else:
        assert math.isnan(found.purity)


def test_gap_and_saved_answers_by_hand() -> None:
    assert gap_closed(0.7, 0.5, 0.9) == pytest.approx(0.5)
    assert math.isnan(gap_closed(0.7, 0.5, 0.5))
    budgets, values = np.array([100.0, 400.0, 1600.0]), np.array([0.2, 0.4, 0.5])
    assert answers_needed(budgets, values, 0.3) == pytest.approx(200)
    assert answers_needed(budgets, values, 0.4) == pytest.approx(400)
    assert answers_needed(budgets, values, 0.1) == 100
    assert answers_needed(budgets, values, 0.6) == math.inf


def test_questions_about_one_image_are_one_strip() -> None:
    assert seconds_as_strips([]) == 0
    assert seconds_as_strips([("a", "b")]) == 2.0
    assert seconds_as_strips([("a", "b"), ("a", "c")]) == 4.0
    assert seconds_as_strips([("a", "b"), ("a", "c"), ("a", "d")]) == 4.5
    assert seconds_as_strips([("a", "b"), ("c", "d"), ("e", "f")]) == 6.0
    assert seconds_as_strips([("a", "b"), ("b", "c"), ("c", "d")]) == 6.0
    ten = [("a", f"b{number}") for number in range(10)]
    assert seconds_as_strips(ten) == 6.5


# Sessions and arms.


def test_a_session_is_the_proposers_own_flow(tmp_path: Path) -> None:
    bench = bench_of(clusters(4, 60), tmp_path)
    proposer = proposer_of(DEFAULT, bench.embeddings, 0)
    done = session(proposer, ANNOTATORS["clean"], bench.classes, 60, 0)
    pairs = [each.pair for each in done.answers]
    assert len(pairs) == 60 == len(set(pairs))
    assert [each.number for each in done.answers] == list(range(1, 61))
    assert {image for pair in pairs for image in pair} <= bench.classes.keys()
    for each in done.answers:
        assert (each.verdict == "similar") == (bench.classes[each.a] == bench.classes[each.b])
    again = session(
        proposer_of(DEFAULT, bench.embeddings, 0), ANNOTATORS["clean"], bench.classes, 60, 0
    )
    assert again.answers == done.answers


def test_the_pool_holds_no_held_out_image(tmp_path: Path) -> None:
    data = clusters(6, 10, unseen=2)
    bench = bench_of(data, tmp_path)
    assert set(bench.pool.ids) == set(data.ids[data.parts.pool].tolist())
    assert len(data.parts.unseen) == 20
    assert np.array_equal(bench.pool.vectors, data.vectors[data.parts.pool])
    assert set(bench.kinds) == {"inductive", "transductive", "unseen"}


def test_a_run_measures_every_budget(tmp_path: Path) -> None:
    bench = bench_of(clusters(4, 40), tmp_path)
    ends = {each["arm"]: each for each in references(bench, 0)}
    assert ends[ALL]["inductive"]["map@r"] > ends[NONE]["inductive"]["map@r"]
    found = list(run(bench, Arm(DEFAULT, LIKEWISE), ANNOTATORS["human"], 0, (40, 20)))
    assert [each["budget"] for each in found] == [20, 40]
    assert [each["answers"] for each in found] == [20, 40]
    assert found[1]["seconds as pairs"] == 80
    assert 0 <= found[1]["wrong"] < 20
    assert 0 < found[1]["inductive"]["map@r"] <= 1
    assert found[1]["placed"]["told"] < found[1]["grouping"]["told"] <= 1
    assert found[1]["placed"]["purity"] > 0.5


def test_a_peers_head_follows_the_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "RATES", (1e-4, 1e-2))
    monkeypatch.setattr(peers, "STEPS", (5, 100))
    data = clusters(2, 20, spread=0.4)
    rows = {f"{row:032x}": row for row in range(40)}
    answers = [
        answer(a, b, "similar" if (a < 20) == (b < 20) else "dissimilar", number)
        for number, (a, b) in enumerate(
            [(0, 1), (1, 2), (20, 21), (21, 22), (0, 20), (1, 21), (2, 22)], start=1
        )
    ]
    found = dict(peers.heads("pml-contrastive", data.vectors, rows, answers, 0))
    assert len(found) == 4
    slow, fast = found["lr 0.0001, 5 steps"], found["lr 0.01, 100 steps"]
    identity = np.eye(16, dtype=np.float32)
    assert 0 < np.abs(slow - identity).max() < np.abs(fast - identity).max()

    def apart(weights: np.ndarray) -> float:
        made = data.vectors @ weights.T
        made /= np.linalg.norm(made, axis=1, keepdims=True)
        return float(made[0] @ made[1] - made[0] @ made[20])

    assert apart(fast) > apart(identity)
    assert list(peers.heads("pml-contrastive", data.vectors, rows, [], 0)) == []


def test_a_batch_of_labels_has_several_images_of_each() -> None:
    labels = np.array([0] * 9 + [1] + [2] * 2 + [3] + list(range(4, 30)) * 3)
    rng = np.random.default_rng(0)
    seen = set()
    for _ in range(60):
        rows = peers.balanced(labels, rng)
        assert len(set(rows.tolist())) == len(rows)
        found, sizes = np.unique(labels[rows], return_counts=True)
        assert len(found) == 16
        assert all(sizes == np.minimum(np.bincount(labels)[found], 4))
        assert sizes.min() > 1
        seen |= set(found.tolist())
    assert seen == {0, 2, *range(4, 30)}


@pytest.mark.skipif(not peers.available("oml-triplet"), reason="open-metric-learning is missing")
def test_triplets_leave_out_images_without_similar_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    data = clusters(3, 20, spread=0.4)
    rows = {f"{row:032x}": row for row in range(60)}
    said: list[tuple[int, int, Verdict]] = [
        (0, 1, "similar"), (1, 2, "similar"), (20, 21, "similar"), (0, 20, "dissimilar"),
        (0, 40, "dissimilar"),
    ]  # fmt: skip
    answers = [answer(*each, number) for number, each in enumerate(said, start=1)]
    monkeypatch.setattr(peers, "STEPS", (5, 10))
    found = list(peers.heads("oml-triplet", data.vectors, rows, answers, 0))
    assert len(found) == 2 * len(peers.RATES)
    assert list(peers.heads("oml-triplet", data.vectors, rows, answers[:2], 0)) == []


def test_dedupes_rule_by_hand() -> None:
    rng = np.random.default_rng(0)
    chance = np.array([0.9, 0.6, 0.4, 0.1])
    missed = [disagreement(chance, np.array([True, False, False, False]), rng) for _ in range(20)]
    assert set(missed) == {1}
    covered = np.array([True, True, False, False])
    assert {disagreement(chance, covered, rng) for _ in range(60)} == {0, 1}
    none = np.zeros(4, dtype=bool)
    low = np.array([0.4, 0.0, 0.0, 0.0])
    assert {disagreement(low, none, rng) for _ in range(20)} == {0}


def test_dedupes_rule_asks_each_pair_once(tmp_path: Path) -> None:
    bench = bench_of(clusters(3, 20), tmp_path)
    proposer = DedupeRule(pool_of(bench.embeddings, ()), 0)
    done = session(proposer, ANNOTATORS["clean"], bench.classes, 40, 0)
    assert len({each.pair for each in done.answers}) == 40
    assert {each.verdict for each in done.answers} == {"similar", "dissimilar"}


# Results.


def line(arm: str, seed: int, budget: int, value: float) -> records.Record:
    figures = {"map@r": value, "recall@1": 0.9, "auc": 0.9, "eer": 0.1, "ece": None}
    times = {"seconds as pairs": 2.0, "seconds as strips": 2.0, "proposing": 0.1, "learning": 0.1}
    return {
        "data": "toy", "arm": arm, "annotator": "clean", "seed": seed, "budget": budget,
        "answers": budget, "wrong": 0, "inductive": figures, **times,
    }  # fmt: skip


def toy_results() -> list[records.Record]:
    ends = [
        line(arm, seed, 0, value) for seed in (0, 1) for arm, value in ((NONE, 0.5), (ALL, 0.9))
    ]
    ours = [line(DEFAULT, seed, 200, 0.8 + 0.02 * seed) for seed in (0, 1)]
    theirs = [line("random", 0, budget, value) for budget, value in ((200, 0.6), (1000, 0.7))]
    return ends + ours + theirs


def test_results_are_kept_and_not_computed_twice(tmp_path: Path) -> None:
    file = tmp_path / "toy.jsonl"
    for each in toy_results():
        records.append(file, {**each, "odd": float("nan")})
    with file.open("a") as out:
        out.write('{"data": "toy", "ar')
    found = records.read(file)
    assert len(found) == len(toy_results())
    assert found[0]["odd"] is None
    known = {records.key_of(each) for each in found}
    assert records.missing((200, 500), ("toy", DEFAULT, "clean", 0, 0), known) == [500]
    assert records.missing((200, 500), ("toy", DEFAULT, "human", 0, 0), known) == [200, 500]


def test_the_report_and_its_numbers(tmp_path: Path) -> None:
    found = json.loads(json.dumps(toy_results()))
    budgets, means, spreads = curve(
        [each for each in found if each["arm"] == DEFAULT], gaps(found, "inductive")
    )
    assert budgets == [200]
    assert means == [pytest.approx(0.775)]
    assert spreads == [pytest.approx(np.std([0.75, 0.8], ddof=1))]
    text = report("toy", found)
    assert f"| {DEFAULT} | 77.5 ± 3.5 |" in text
    assert "| random | more than 1,000 | more than 5x |" in text
    flat = [line(NONE, 0, 0, 0.81), *(each for each in found if each["arm"] == DEFAULT)]
    assert "gains nothing with 200 answers" in report("toy", flat)
    assert len({tuple(style(each.name).items()) for each in all_arms()}) == len(all_arms())
    (picture,) = draw("toy", found, tmp_path)
    assert picture.stat().st_size > 10_000


def test_weights_get_timms_names() -> None:
    import timm
    import torch

    names = list(timm.create_model(lite0_weights.BACKBONE).state_dict())
    blocks = sum(lite0_weights.STAGES)
    layers = ["_depthwise_conv.weight", "_bn1.weight", "_project_conv.weight", "_bn2.weight"]
    theirs = [f"_blocks.0.{each}" for each in layers]
    layers = ["_expand_conv.weight", "_bn0.weight", *layers]
    theirs += [f"_blocks.{block}.{each}" for block in range(1, blocks) for each in layers]
    theirs = ["_conv_stem.weight", "_bn0.weight", *theirs]
    theirs += ["_conv_head.weight", "_bn1.weight", "_fc.weight"]
    made = lite0_weights.renamed(dict.fromkeys(theirs, torch.zeros(1)))
    assert list(made) == [each for each in names if each.endswith("weight")]


@pytest.fixture(scope="module")
def mnist(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    cache = tmp_path_factory.mktemp("mnist")
    return bench_of(load("mnist", cache), cache)


@pytest.mark.long
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("noise", MUST)
def test_few_answers_close_most_of_the_gap_on_mnist(mnist: Bench, noise: str) -> None:
    ends = {each["arm"]: each["inductive"] for each in references(mnist, 0)}
    for each in run(mnist, Arm(DEFAULT, LIKEWISE), ANNOTATORS[noise], 0, list(MUST[noise])):
        closed = gap_closed(each["inductive"]["map@r"], ends[NONE]["map@r"], ends[ALL]["map@r"])
        assert closed >= MUST[noise][each["budget"]]
        assert each["inductive"]["recall@1"] >= ends[NONE]["recall@1"] - 0.005
