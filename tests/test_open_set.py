"""Who is called unknown: what the thresholds promise, by simulation and by hand."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import beta, binom

from likewise.evaluation.calibration import Calibration, calibrate, levels_of
from likewise.inference.naming_rule import NamingRule, naming_rule
from likewise.inference.open_set import (
    TRIALS,
    Trials,
    answerable,
    fewest_classes,
    fewest_images,
    hold_out,
    refuted,
    strangers_share,
    threshold_above,
    threshold_of,
)
from likewise.inference.weighed_strangers import weighed

NOBODY = np.empty(0)


def unit(vectors: np.ndarray) -> np.ndarray:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=-1, keepdims=True), np.float32)


class World:
    """Classes at random places of a sphere, and images around them."""

    def __init__(self, seed: int, classes: int, dim: int = 6, spread: float = 0.25) -> None:
        self.rng = np.random.default_rng(seed)
        self.centres = unit(self.rng.normal(size=(classes, dim)))
        self.spread = spread

    def images(self, classes: np.ndarray) -> np.ndarray:
        noise = self.rng.normal(size=(len(classes), self.centres.shape[1]))
        return unit(self.centres[classes] + self.spread * noise)


def alone(reach: list[float]) -> Trials:
    """One exemplar a class."""
    count = len(reach)
    return Trials(np.array(reach), np.full(count, -np.inf), np.ones(count))


def test_exemplars_are_held_against_other_classes_by_hand() -> None:
    angles = np.radians([0, 10, 40, 90])
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    trials = hold_out(vectors, np.array([0, 0, 1, 2]), np.random.default_rng(0))
    assert trials.reach == pytest.approx(np.cos(np.radians([40, 30, 30, 50])), abs=1e-6)
    assert trials.own[:2] == pytest.approx(np.cos(np.radians([10, 10])), abs=1e-6)
    assert not np.isfinite(trials.own[2:]).any()
    assert trials.weights.tolist() == [0.5, 0.5, 1, 1]
    near, right = answerable(trials)
    assert near == pytest.approx(np.cos(np.radians([10, 10, 40, 30])), abs=1e-6)
    assert right.tolist() == [True, True, False, False]


def test_one_class_has_nobody_to_be_held_against() -> None:
    trials = hold_out(np.eye(3, dtype=np.float32), np.zeros(3, np.int64), np.random.default_rng(0))
    assert not len(trials.reach)
    assert threshold_of(trials, 0.05) == math.inf


def test_of_many_exemplars_one_of_a_class_takes_part() -> None:
    rng = np.random.default_rng(0)
    vectors = unit(rng.normal(size=(TRIALS + 600, 4)))
    classes = np.arange(len(vectors)) // 2
    trials = hold_out(vectors, classes, rng)
    assert len(trials.reach) == len(vectors) // 2
    assert set(trials.weights.tolist()) == {1.0}
    assert len(hold_out(vectors, np.arange(len(vectors)), rng).reach) == TRIALS


@given(st.lists(st.integers(-9, 9), min_size=2, max_size=80), st.sampled_from([0.01, 0.05, 0.2]))
def test_the_threshold_is_the_lowest_that_keeps_its_promise(tens: list[int], far: float) -> None:
    """Against a slow search over all places where a threshold can lie; equal reaches included."""
    trials = alone([each / 10 for each in tens])
    found = threshold_of(trials, far)
    above = [-1.0, *(math.nextafter(each, 2) for each in trials.reach)]
    promised = [each for each in above if strangers_share(trials, each) <= far]
    if promised:
        assert found == min(promised)
    else:
        assert len(tens) < fewest_classes(far)
        assert found == math.nextafter(max(trials.reach), 2)


@pytest.mark.parametrize(("far", "classes"), [(0.05, 39), (0.01, 199), (0.5, 3), (0.1, 19)])
def test_how_many_classes_a_promise_takes(far: float, classes: int) -> None:
    assert fewest_classes(far) == classes
    assert strangers_share(alone([0.0] * classes), 0.5) <= far
    assert strangers_share(alone([0.0] * (classes - 1)), 0.5) > far


def named_strangers(classes: int, shots: int, far: float, worlds: int) -> int:
    """In so many worlds one stranger each, of a class like the others: how many are named."""
    named = 0
    for seed in range(worlds):
        world = World(seed, classes + 1)
        labels = np.repeat(np.arange(classes), shots)
        vectors = world.images(labels)
        trials = hold_out(vectors, labels, world.rng)
        stranger = world.images(np.array([classes]))
        named += int((stranger @ vectors.T).max() >= threshold_of(trials, far))
    return named


@pytest.mark.parametrize(("classes", "shots", "far"), [(40, 1, 0.05), (30, 1, 0.2), (30, 3, 0.2)])
def test_strangers_are_named_as_rarely_as_promised(classes: int, shots: int, far: float) -> None:
    """800 independent worlds: a promise that is broken by a half would be found out."""
    worlds = 800
    named = named_strangers(classes, shots, far, worlds)
    assert binom.sf(named - 1, worlds, far) > 1e-3  # not more than promised
    assert named > worlds * far / 4  # nor is it kept by naming nobody


def test_images_of_the_workspace_bound_strangers_too() -> None:
    """Split conformal: the share named is Beta distributed; here its mean, over many worlds."""
    rng = np.random.default_rng(0)
    count, far = 60, 0.1
    shares = []
    for _ in range(2000):
        population = np.sort(rng.normal(size=count))
        shares.append(math.erfc(threshold_above(population, far) / math.sqrt(2)) / 2)
    allowed = math.floor(far * (count + 1)) - 1
    exact = beta(allowed + 1, count - allowed)
    assert np.mean(shares) == pytest.approx(exact.mean(), abs=4 * exact.std() / 2000**0.5)
    assert exact.mean() <= far


@given(st.lists(st.integers(0, 20), min_size=1, max_size=60), st.sampled_from([0.05, 0.1, 0.5]))
def test_so_many_images_reach_a_threshold_at_most(tens: list[int], far: float) -> None:
    population = np.sort(np.array(tens) / 20)
    found = threshold_above(population, far)
    if len(tens) < fewest_images(far):
        assert found == math.inf
    else:
        assert (population >= found).sum() + 1 <= far * (len(tens) + 1) + 1e-9


def test_members_among_the_images_only_raise_the_threshold() -> None:
    rng = np.random.default_rng(1)
    strangers, members = rng.normal(size=300), rng.normal(3, 1, size=100)
    mixed = threshold_above(np.sort(np.concatenate((strangers, members))), 0.05)
    assert mixed > threshold_above(np.sort(strangers), 0.05)


def test_classes_that_are_all_alike_refute_a_threshold() -> None:
    assert refuted(alone([0.9] * 10), 0.8, 0.05)
    assert not refuted(alone([0.9, 0.9] + [0.1] * 8), 0.8, 0.05)  # twins are one pair
    assert not refuted(alone([0.9, 0.9]), 0.8, 0.05)
    assert not refuted(alone([0.1] * 10), 0.8, 0.05)


def answers(seed: int = 0) -> tuple[World, np.ndarray, np.ndarray]:
    """A workspace of 600 images of 60 classes."""
    world = World(seed, 60, dim=8)
    labels = np.repeat(np.arange(60), 10)
    return world, labels, world.images(labels)


def rule_of(
    trials: Trials, population: np.ndarray, told: Calibration | None, seen: bool = False
) -> NamingRule:
    """At 5 %, all exemplars being images of the workspace."""
    return naming_rule(0.05, trials, population, population, told, seen=seen)


def test_the_rule_takes_what_can_tell_it_in_order() -> None:
    population = np.sort(np.random.default_rng(0).uniform(0, 0.6, 200))
    near = np.linspace(0, 1, 60)
    told = calibrate(near, near > 0.7, levels_of(near))
    many, few = alone([0.3] * 39), alone([0.3] * 5)
    assert rule_of(many, population, told).source == "classes"
    assert rule_of(few, population, told).source == "answers"
    outside = np.full(len(population), np.nan)  # exemplars of which the workspace may show nothing
    assert naming_rule(0.05, few, population, outside, told).source == "images"
    assert rule_of(few, population, None).source == "images"
    assert rule_of(few, population[:18], None).source == "few classes"
    assert rule_of(alone([0.9] * 8), population, None).source == "few classes"
    nothing = rule_of(alone([]), population[:18], None)
    assert (nothing.source, nothing.similarity) == ("nothing", math.inf)
    for rule in (rule_of(few, population, None), nothing):
        assert rule.notes
    seen = rule_of(few, population, told, seen=True)
    assert any("was trained on the images" in note for note in seen.notes)
    assert rule_of(many, population, told, seen=True).notes == ()


def test_images_count_by_their_chance_to_be_strangers() -> None:
    """Against a slow loop over thresholds, with a curve that all draws share."""
    rng = np.random.default_rng(0)
    levels = np.linspace(0, 1, 50)
    curve = levels**2
    told = Calibration(
        "platt", 40, 20, levels, curve, np.tile(curve, (3, 1)), np.linspace(0, 1, 40)
    )
    population = np.sort(rng.uniform(size=300).round(2))  # many are equal
    known = rng.uniform(size=300) < 0.7
    mean = population - rng.uniform(0, 0.2, size=300)
    evidence = np.where(known, mean, np.nan)
    found = weighed(0.1, population, evidence, told)
    chance = np.interp(mean, levels, curve) * known
    shares = {
        at: (1 - chance)[population >= at].sum() / (1 - chance).sum()
        for at in sorted({*population.tolist(), 2.0})
    }
    best = min(at for at, share in shares.items() if share <= 0.1)
    assert found.similarity == best
    assert found.false_accept.value == pytest.approx(shares[best])
    rejected = chance[population < best].sum() / chance.sum()
    assert found.false_reject.value == pytest.approx(rejected)
    assert weighed(1e-9, population, evidence, told).similarity > population[-1]


def test_too_few_classes_say_what_they_can_promise() -> None:
    rule = rule_of(alone([0.1, 0.4, 0.4, 0.2]), NOBODY, None)
    assert rule.similarity == math.nextafter(0.4, 1)
    assert rule.far == pytest.approx(2 / 5)
    assert "4 classes promise at best that 40 %" in rule.notes[0]
    assert "39 classes would promise 5 %" in rule.notes[0]


def rule_with_answers(seed: int, count: int) -> tuple[NamingRule, float, float, float]:
    """The rule from so many answers, and its true shares: strangers named, members unknown.

    Five classes of the workspace make the gallery, an exemplar each. Answers are drawn evenly over
    similarity, as those for calibration are. Last, the strangers that the images alone let pass.
    """
    world, labels, vectors = answers(seed)
    first, second = np.triu_indices(len(vectors), k=1)
    pairs = (vectors @ vectors.T)[first, second].astype(np.float64)
    strata = np.digitize(pairs, np.linspace(pairs.min(), pairs.max(), 101)[1:-1])
    order = world.rng.permutation(len(pairs))
    chosen = [order[strata[order] == each][: count // 100 + 1] for each in range(100)]
    asked = world.rng.permutation(np.concatenate(chosen))[:count]
    same = labels[first[asked]] == labels[second[asked]]
    told = calibrate(pairs[asked], same, levels_of(pairs))
    rows = np.arange(0, 50, 10)
    others = np.setdiff1d(np.arange(len(labels)), rows)
    near = (vectors[others] @ vectors[rows].T).astype(np.float64).max(axis=1)
    population = np.sort(near)
    trials = hold_out(vectors[rows], labels[rows], world.rng)
    rule = rule_of(trials, population, told)
    strict = rule_of(trials, population, None)
    member = labels[others] < 5
    return (
        rule,
        float((near >= rule.similarity)[~member].mean()),
        float((near < rule.similarity)[member].mean()),
        float((near >= strict.similarity)[~member].mean()),
    )


def test_answers_keep_the_promise_and_name_more_than_images_alone() -> None:
    found = [rule_with_answers(seed, 150) for seed in range(5)]
    assert {each.source for each, *_ in found} == {"answers"}
    named, unknown, strict = (np.array([each[place] for each in found]) for place in (1, 2, 3))
    assert named.mean() <= 0.05
    assert named.mean() > strict.mean()
    told = [each.frr_interval or (1, 0) for each, *_ in found]
    inside = [low <= share <= high for (low, high), share in zip(told, unknown, strict=True)]
    assert np.mean(inside) > 0.5  # the interval is of all images; fifty members are few
