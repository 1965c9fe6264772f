from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator
from sklearn.metrics import roc_auc_score, roc_curve
from sklearn.neighbors import NearestNeighbors

from likewise.evaluation import metrics
from likewise.evaluation.bootstrap import (
    Pairs,
    draw_counts,
    mean_interval,
    pair_intervals,
    pairs_of,
)
from likewise.evaluation.metrics import (
    auc,
    average_precision_at_r,
    equal_error_rate,
    knn_correct,
    retrieval,
    roc,
)


def clouds(seed: int, rows: int = 90, classes: int = 6, spread: float = 1.0) -> tuple[Any, Any]:
    """Unit vectors around class centres, with shuffled labels of unequal frequency."""
    random = np.random.default_rng(seed)
    labels = np.minimum(random.geometric(0.35, rows), classes)
    vectors = random.normal(size=(classes + 1, 8))[labels] + spread * random.normal(size=(rows, 8))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32), labels


@pytest.fixture(params=["one block", "many blocks"])
def _blocks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "many blocks":
        monkeypatch.setattr(metrics, "_BLOCK", 300)
    return


class TestRetrieval:
    @pytest.mark.usefixtures("_blocks")
    def test_pytorch_metric_learning_within_one_set(self) -> None:
        vectors, labels = clouds(1)
        labels[7] = 99  # the only one of its class: left out by both
        oracle = AccuracyCalculator(
            include=("precision_at_1", "mean_average_precision_at_r"), k="max_bin_count"
        ).get_accuracy(vectors, labels)
        ours = retrieval(vectors, labels)
        assert np.isnan(ours.recall[1][7])
        assert np.nanmean(ours.recall[1]) == pytest.approx(oracle["precision_at_1"])
        assert np.nanmean(ours.average_precision_at_r) == pytest.approx(
            oracle["mean_average_precision_at_r"]
        )

    @pytest.mark.usefixtures("_blocks")
    def test_pytorch_metric_learning_against_a_gallery(self) -> None:
        vectors, labels = clouds(2)
        queries, gallery = (vectors[:30], labels[:30]), (vectors[30:], labels[30:])
        oracle = AccuracyCalculator(
            include=("precision_at_1", "mean_average_precision_at_r"), k="max_bin_count"
        ).get_accuracy(*queries, *gallery)
        ours = retrieval(*queries, *gallery)
        assert np.nanmean(ours.recall[1]) == pytest.approx(oracle["precision_at_1"])
        assert np.nanmean(ours.average_precision_at_r) == pytest.approx(
            oracle["mean_average_precision_at_r"]
        )

    def test_recall_at_five_by_scikit_learn(self) -> None:
        vectors, labels = clouds(3)
        finder = NearestNeighbors(n_neighbors=6, algorithm="brute").fit(vectors)
        found = finder.kneighbors(vectors, return_distance=False)
        expected = [
            any(labels[other] == labels[row] for other in found[row] if other != row)
            for row in range(len(vectors))
            if (labels == labels[row]).sum() > 1
        ]
        recall = retrieval(vectors, labels).recall[5]
        assert recall[~np.isnan(recall)].tolist() == expected

    def test_average_precision_by_hand(self) -> None:
        hits = np.array([[True, False, True, True], [False, True, True, False]])
        # R = 3: (1/1 + 2/3) / 3, the fourth place is beyond R. R = 2: (1/2) / 2
        by_hand = [(1 + 2 / 3) / 3, 1 / 4]
        assert average_precision_at_r(hits, np.array([3, 2])) == pytest.approx(by_hand)

    def test_an_image_is_not_its_own_neighbour_but_its_twin_is(self) -> None:
        vectors, _ = clouds(4, rows=8)
        twins = np.concatenate((vectors, vectors))
        labels = np.concatenate((np.arange(8), np.arange(8)))
        assert retrieval(twins, labels).recall[1].tolist() == [1.0] * 16

    def test_embedding_that_says_nothing_scores_like_guessing(self) -> None:
        vectors = np.tile(np.array([1, 0], np.float32), (400, 1))
        labels = np.random.default_rng(5).permutation(np.repeat(np.arange(4), 100))
        assert np.nanmean(retrieval(vectors, labels).recall[1]) == pytest.approx(0.25, abs=0.08)

    def test_no_query_with_a_positive(self) -> None:
        vectors, _ = clouds(6, rows=4)
        assert np.isnan(retrieval(vectors, np.arange(4)).recall[1]).all()
        assert np.isnan(retrieval(vectors[:1], np.arange(1)).average_precision_at_r).all()

    @settings(max_examples=20, deadline=None)
    @given(seed=st.integers(0, 1000))
    def test_rotation_and_order_do_not_matter(self, seed: int) -> None:
        random = np.random.default_rng(seed)
        vectors, labels = clouds(seed, rows=40)
        turn = np.linalg.qr(random.normal(size=(8, 8)))[0]
        order = random.permutation(40)
        before = retrieval(vectors, labels).average_precision_at_r
        after = retrieval((vectors[order] @ turn).astype(np.float32), labels[order])
        assert after.average_precision_at_r == pytest.approx(before[order], nan_ok=True)


class TestKnn:
    @pytest.mark.usefixtures("_blocks")
    def test_slow_loop(self) -> None:
        vectors, labels = clouds(7)
        queries, gallery = (vectors[:30], labels[:30]), (vectors[30:], labels[30:])
        expected = []
        for vector, label in zip(*queries, strict=True):
            nearest = sorted(zip(gallery[0] @ vector, gallery[1], strict=True), reverse=True)[:7]
            votes: dict[int, float] = {}
            for similarity, name in nearest:
                votes[name] = votes.get(name, 0) + float(np.exp(similarity / 0.5))
            right = max(votes, key=lambda name: votes[name]) == label
            expected.append(float(right) if label in gallery[1] else np.nan)
        ours = knn_correct(*queries, *gallery, k=7, temperature=0.5)
        assert ours == pytest.approx(expected, nan_ok=True)
        assert 0 < np.nanmean(ours) < 1

    def test_a_near_neighbour_outweighs_two_far_ones(self) -> None:
        query = np.array([[1, 0]], np.float32)
        angles = np.deg2rad([5, 60, 61])
        gallery = np.stack((np.cos(angles), np.sin(angles)), axis=1).astype(np.float32)
        labels = np.array(["a", "b", "b"])
        assert knn_correct(query, np.array(["a"]), gallery, labels, k=3)[0] == 1
        flat = knn_correct(query, np.array(["a"]), gallery, labels, k=3, temperature=1e3)
        assert flat[0] == 0

    def test_leave_one_out(self) -> None:
        vectors, labels = clouds(8, rows=12)
        labels[:] = np.arange(12)
        labels[1] = labels[0]
        vectors[1] = vectors[0]
        correct = knn_correct(vectors, labels, k=1)
        assert correct[:2].tolist() == [1, 1]
        assert np.isnan(correct[2:]).all()


class TestRoc:
    @staticmethod
    def scored(seed: int, ties: bool = False) -> tuple[Any, Any]:
        random = np.random.default_rng(seed)
        same = random.random(400) < 0.3
        scores = random.normal(size=400) + same
        return (scores.round(1) if ties else scores), same

    @pytest.mark.parametrize("ties", [False, True])
    def test_area_by_scikit_learn(self, ties: bool) -> None:
        scores, same = self.scored(9, ties)
        weights = np.random.default_rng(9).integers(0, 4, 400).astype(float)
        assert auc(roc(scores, same)) == pytest.approx(roc_auc_score(same, scores))
        assert auc(roc(scores, same, weights)) == pytest.approx(
            roc_auc_score(same, scores, sample_weight=weights)
        )

    @pytest.mark.parametrize("ties", [False, True])
    def test_equal_error_rate_by_scikit_learn(self, ties: bool) -> None:
        scores, same = self.scored(10, ties)
        false_accept, true_accept, _ = roc_curve(same, scores, drop_intermediate=False)
        fine = np.linspace(0, 1, 200_001)
        gap = np.interp(fine, false_accept, true_accept) - (1 - fine)
        expected = fine[np.argmin(np.abs(gap))]
        rate, threshold = equal_error_rate(roc(scores, same))
        assert rate == pytest.approx(expected, abs=1e-5)
        accepts = np.mean(scores[~same] >= threshold)
        rejects = np.mean(scores[same] < threshold)
        assert accepts == pytest.approx(rejects, abs=0.05)
        assert rate == pytest.approx((accepts + rejects) / 2, abs=0.05)

    def test_perfect_and_opposite(self) -> None:
        same = np.array([True, True, False, False])
        perfect, opposite = np.array([0.9, 0.8, 0.2, 0.1]), np.array([0.1, 0.2, 0.8, 0.9])
        assert (auc(roc(perfect, same)), equal_error_rate(roc(perfect, same))) == (1, (0, 0.8))
        assert (auc(roc(opposite, same)), equal_error_rate(roc(opposite, same))[0]) == (0, 1)
        assert auc(roc(np.zeros(4), same)) == 0.5

    def test_rising_transformation_does_not_matter(self) -> None:
        scores, same = self.scored(11)
        bent = roc(np.exp(3 * scores), same)
        assert auc(bent) == pytest.approx(auc(roc(scores, same)))
        assert equal_error_rate(bent)[0] == pytest.approx(equal_error_rate(roc(scores, same))[0])

    def test_one_kind_of_pair_is_refused(self) -> None:
        with pytest.raises(ValueError, match="both kinds"):
            roc(np.arange(3.0), np.ones(3, dtype=bool))


class TestPairs:
    def test_few_images_give_every_pair(self) -> None:
        labels = np.array(["a", "b", "a"])
        pairs = pairs_of(labels, limit=3, seed=0)
        found = set(zip(pairs.first.tolist(), pairs.second.tolist(), pairs.same, strict=True))
        assert found == {(0, 1, False), (0, 2, True), (1, 2, False)}

    @settings(max_examples=30, deadline=None)
    @given(seed=st.integers(0, 1000))
    def test_sample_is_of_distinct_pairs_with_the_right_verdict(self, seed: int) -> None:
        labels = np.random.default_rng(seed).integers(5, size=60)
        pairs = pairs_of(labels, limit=200, seed=seed)
        assert (pairs.first != pairs.second).all()
        assert (pairs.same == (labels[pairs.first] == labels[pairs.second])).all()
        distinct = {frozenset(each) for each in zip(pairs.first, pairs.second, strict=True)}
        assert len(distinct) == len(pairs.same) == 200
        assert pairs.same.sum() == 100

    def test_every_same_pair_is_equally_likely(self) -> None:
        labels = np.repeat(np.arange(40), [12, 3] + [1] * 38)  # 66 + 3 same pairs
        counts: dict[tuple[int, int], int] = {}
        for seed in range(300):
            pairs = pairs_of(labels, limit=46, seed=seed)
            for a, b in zip(pairs.first[pairs.same], pairs.second[pairs.same], strict=True):
                counts[min(a, b), max(a, b)] = counts.get((min(a, b), max(a, b)), 0) + 1
        assert len(counts) == 69
        assert min(counts.values()) > 60  # expected 100 each, standard deviation 8
        assert max(counts.values()) < 140

    def test_seed_decides(self) -> None:
        labels = np.arange(100) % 7
        first, again, other = (pairs_of(labels, 100, seed).first.tolist() for seed in (1, 1, 2))
        assert first == again != other


class TestBootstrap:
    def test_mean_interval_covers_about_as_often_as_it_says(self) -> None:
        random = np.random.default_rng(12)
        counts = draw_counts(60, resamples=200, seed=0)
        covered = 0
        for _ in range(200):
            values = (random.random(60) < 0.7).astype(np.float64)
            low, high = mean_interval(values, counts)
            covered += low <= 0.7 <= high
        assert 178 <= covered <= 200  # 95 % of 200 is 190

    def test_pair_interval_covers_and_is_wider_than_if_pairs_were_independent(self) -> None:
        # An image's quality shifts all its pairs, so pairs that share it are dependent.
        random = np.random.default_rng(13)
        labels = np.arange(30) % 2
        pairs = pairs_of(labels, 10_000, 0)
        counts = draw_counts(30, resamples=100, seed=0)

        def sample(images: int) -> tuple[Any, Pairs]:
            names = np.arange(images) % 2
            several = pairs_of(names, 10**6, 0)
            quality = random.normal(size=images)
            noise = 0.3 * random.normal(size=len(several.same))
            shift = quality[several.first] + quality[several.second]
            return shift + several.same + noise, several

        scores, many = sample(1000)
        truth = auc(roc(scores, many.same))
        covered, widths = 0, []
        for _ in range(60):
            scores, _ = sample(30)
            (low, high), _ = pair_intervals(scores, pairs, counts)
            covered += low <= truth <= high
            widths.append(high - low)
        assert covered >= 51  # 95 % of 60 is 57
        naive = []
        for _ in range(100):
            weights = random.multinomial(len(scores), np.full(len(scores), 1 / len(scores)))
            naive.append(auc(roc(scores, pairs.same, weights.astype(np.float64))))
        low, high = np.quantile(naive, (0.025, 0.975))
        assert np.mean(widths) > 1.2 * (high - low)

    def test_binning_hardly_moves_the_figures(self) -> None:
        vectors, labels = clouds(14, rows=200)
        pairs = pairs_of(labels, 10**6, 0)
        scores = np.einsum("ij,ij->i", vectors[pairs.first], vectors[pairs.second])
        once = np.ones((1, 200))
        area, rate = pair_intervals(scores, pairs, once)
        curve = roc(scores, pairs.same)
        assert area[0] == pytest.approx(auc(curve), abs=1e-3)
        assert rate[0] == pytest.approx(equal_error_rate(curve)[0], abs=1e-3)

    def test_missing_values_are_left_out(self) -> None:
        counts = draw_counts(4, resamples=100, seed=0)
        assert counts.sum(axis=1).tolist() == [4.0] * 100
        low, high = mean_interval(np.array([1.0, np.nan, 1.0, np.nan]), counts)
        assert (low, high) == (1, 1)
        assert np.isnan(mean_interval(np.full(4, np.nan), counts)[0])
