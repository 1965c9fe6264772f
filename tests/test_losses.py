import math
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from jaxtyping import Float, Int8
from pytorch_metric_learning import distances, losses, miners, reducers
from torch import Tensor
from torch.nn.functional import normalize

from likewise.training.losses import (
    contrastive_loss,
    negative_cosine,
    simsiam_loss,
    supervised_contrastive_loss,
    triplet_loss,
)

PairLoss = Callable[[Tensor, Tensor], Tensor]

PAIR_LOSSES: dict[str, PairLoss] = {
    "contrastive": partial(contrastive_loss, margin=0.9),
    "triplet-all": partial(triplet_loss, margin=0.4, mining="all"),
    "triplet-semihard": partial(triplet_loss, margin=0.4, mining="semihard"),
    "triplet-hard": partial(triplet_loss, margin=0.4, mining="hard"),
    "supcon": partial(supervised_contrastive_loss, temperature=0.2),
}
every_loss = pytest.mark.parametrize("loss", PAIR_LOSSES.values(), ids=PAIR_LOSSES.keys())


def at_degrees(*angles: float) -> Float[Tensor, "B 2"]:
    radians = torch.tensor(angles, dtype=torch.float64).deg2rad()
    return torch.stack((radians.cos(), radians.sin()), dim=1)


def chord(degrees: float) -> float:
    """Distance between two unit vectors at an angle."""
    return 2 * math.sin(math.radians(degrees) / 2)


def relations_of(labels: Tensor) -> Int8[Tensor, "B B"]:
    same = labels[:, None] == labels[None, :]
    return (same.to(torch.int8) * 2 - 1).fill_diagonal_(0)


def euclidean() -> Any:
    return distances.LpDistance(normalize_embeddings=False)


def a_batch(seed: int, rows: int = 12, classes: int = 3) -> tuple[Tensor, Tensor]:
    source = torch.Generator().manual_seed(seed)
    vectors = torch.randn(rows, 5, generator=source, dtype=torch.float64)
    labels = torch.arange(rows) % classes
    return normalize(vectors, dim=1), labels


def half_known(labels: Tensor, seed: int) -> Int8[Tensor, "B B"]:
    """Relations of the labels with half the pairs forgotten, symmetrically."""
    source = torch.Generator().manual_seed(seed)
    known = torch.triu(torch.rand(len(labels), len(labels), generator=source) < 0.5, diagonal=1)
    return (relations_of(labels) * (known | known.T)).to(torch.int8)


class TestSimSiam:
    def test_angles_by_hand(self) -> None:
        p, z = at_degrees(0, 90), at_degrees(60, 90)
        assert negative_cosine(p, z).item() == pytest.approx(-(0.5 + 1) / 2)

    def test_length_does_not_matter(self) -> None:
        p, z = at_degrees(10, 200), at_degrees(60, 90)
        assert negative_cosine(3 * p, 7 * z).item() == pytest.approx(negative_cosine(p, z).item())

    def test_two_views_are_each_others_target(self) -> None:
        p = torch.stack((at_degrees(0), at_degrees(10)))
        z = torch.stack((at_degrees(70), at_degrees(30)))
        by_hand = -(math.cos(math.radians(30)) + math.cos(math.radians(60))) / 2
        assert simsiam_loss(p, z).item() == pytest.approx(by_hand)

    def test_more_views_aim_at_the_mean_of_the_raw_projections(self) -> None:
        p = torch.stack((at_degrees(0), at_degrees(0), at_degrees(0)))
        z = torch.stack((at_degrees(0), 3 * at_degrees(0), at_degrees(90)))
        # targets: (3, 1)/2 for the first view, (1, 1)/2 for the second, (4, 0)/2 for the third
        by_hand = -(3 / math.sqrt(10) + 1 / math.sqrt(2) + 1) / 3
        assert simsiam_loss(p, z).item() == pytest.approx(by_hand)

    @pytest.mark.parametrize("views", [2, 3])
    def test_no_gradient_reaches_z(self, views: int) -> None:
        source = torch.Generator().manual_seed(views)
        p = torch.randn(views, 4, 3, generator=source, requires_grad=True)
        z = torch.randn(views, 4, 3, generator=source, requires_grad=True)
        simsiam_loss(p, z).backward()  # type: ignore[no-untyped-call]
        assert z.grad is None
        assert p.grad is not None
        assert (p.grad.abs().sum(dim=(1, 2)) > 0).all()

    def test_gradient(self) -> None:
        source = torch.Generator().manual_seed(1)
        p, z = torch.randn(2, 3, 4, 5, generator=source, dtype=torch.float64)
        assert torch.autograd.gradcheck(lambda p: simsiam_loss(p, z), p.requires_grad_())

    def test_one_view_is_refused(self) -> None:
        with pytest.raises(ValueError, match="other view"):
            simsiam_loss(torch.ones(1, 2, 3), torch.ones(1, 2, 3))


class TestContrastive:
    def test_angles_by_hand(self) -> None:
        vectors = at_degrees(0, 60, 90)
        relations = torch.tensor([[0, 1, -1], [1, 0, 0], [-1, 0, 0]], dtype=torch.int8)
        # the positive is at distance 1, the negative at sqrt(2), inside a margin of 1.5
        by_hand = 1 / 2 + (1.5 - math.sqrt(2)) ** 2 / 2
        assert contrastive_loss(vectors, relations, 1.5).item() == pytest.approx(by_hand)
        assert contrastive_loss(vectors, relations, 1.4).item() == pytest.approx(1 / 2)

    def test_slow_loop(self) -> None:
        vectors, labels = a_batch(2)
        relations = half_known(labels, seed=2)
        pulls, pushes = [], []
        for i in range(len(vectors)):
            for j in range(len(vectors)):
                distance = math.dist(vectors[i].tolist(), vectors[j].tolist())
                if i != j and relations[i, j] == 1:
                    pulls.append(distance**2 / 2)
                if i != j and relations[i, j] == -1:
                    pushes.append(max(0.0, 1.2 - distance) ** 2 / 2)
        by_loop = sum(pulls) / len(pulls) + sum(pushes) / len(pushes)
        assert contrastive_loss(vectors, relations, 1.2).item() == pytest.approx(by_loop)

    def test_pytorch_metric_learning(self) -> None:
        # Its hinge is linear where Hadsell's is a halved square, and by default it leaves
        # satisfied pairs out of the mean: squared here, and averaged over all pairs.
        class Squared(losses.ContrastiveLoss):  # type: ignore[misc]
            def get_per_pair_loss(self, distances: Tensor, kind: str) -> Any:
                return super().get_per_pair_loss(distances, kind).square() / 2

        vectors, labels = a_batch(3)
        oracle = Squared(0, 1.3, distance=euclidean(), reducer=reducers.MeanReducer())
        ours = contrastive_loss(vectors, relations_of(labels), 1.3).item()
        assert ours == pytest.approx(oracle(vectors, labels).item())


class TestTriplet:
    def test_angles_by_hand(self) -> None:
        vectors = at_degrees(0, 40, 90)
        relations = torch.tensor([[0, 1, -1], [1, 0, -1], [-1, -1, 0]], dtype=torch.int8)
        near_0 = chord(40) - chord(90) + 0.8
        near_40 = chord(40) - chord(50) + 0.8
        both = triplet_loss(vectors, relations, 0.8)
        assert both.item() == pytest.approx((near_0 + near_40) / 2)
        # at a smaller margin the first triplet is satisfied and leaves the mean
        one = triplet_loss(vectors, relations, 0.5)
        assert one.item() == pytest.approx(chord(40) - chord(50) + 0.5)

    def test_hard_takes_the_farthest_positive_and_the_nearest_negative(self) -> None:
        vectors = at_degrees(0, 10, 50, 30, 120)
        relations = torch.zeros(5, 5, dtype=torch.int8)
        relations[0, 1] = relations[0, 2] = 1
        relations[0, 3] = relations[0, 4] = -1
        by_hand = chord(50) - chord(30) + 0.2
        assert triplet_loss(vectors, relations, 0.2, "hard").item() == pytest.approx(by_hand)

    def test_slow_loop(self) -> None:
        vectors, labels = a_batch(4)
        relations = half_known(labels, seed=4)
        distance = [[math.dist(a, b) for b in vectors.tolist()] for a in vectors.tolist()]
        rows = range(len(vectors))
        violations = [
            violation
            for a in rows
            for p in rows
            for n in rows
            if a != p and relations[a, p] == 1 and relations[a, n] == -1
            if (violation := distance[a][p] - distance[a][n] + 0.3) > 0
        ]
        by_loop = sum(violations) / len(violations)
        assert triplet_loss(vectors, relations, 0.3).item() == pytest.approx(by_loop)

    @pytest.mark.parametrize("mining", ["all", "semihard", "hard"])
    def test_pytorch_metric_learning(self, mining: Any) -> None:
        miner = {
            "all": miners.TripletMarginMiner(10.0, "all", distance=euclidean()),
            "semihard": miners.TripletMarginMiner(0.4, "semihard", distance=euclidean()),
            "hard": miners.BatchHardMiner(distance=euclidean()),
        }[mining]
        vectors, labels = a_batch(5)
        oracle = losses.TripletMarginLoss(0.4, distance=euclidean())
        expected = oracle(vectors, labels, miner(vectors, labels)).item()
        ours = triplet_loss(vectors, relations_of(labels), 0.4, mining).item()
        assert ours == pytest.approx(expected)


class TestSupervisedContrastive:
    def test_angles_by_hand(self) -> None:
        vectors = 4 * at_degrees(0, 60, 90)  # normalised inside
        relations = torch.tensor([[0, 1, -1], [1, 0, 0], [-1, 0, 0]], dtype=torch.int8)
        # anchor 0 knows both others; anchor 1 knows only its positive; anchor 2 has no positive
        anchor_0 = -math.log(math.exp(0.5 / 0.5) / (math.exp(0.5 / 0.5) + math.exp(0 / 0.5)))
        ours = supervised_contrastive_loss(vectors, relations, 0.5).item()
        assert ours == pytest.approx((anchor_0 + 0) / 2)

    def test_slow_loop(self) -> None:
        vectors, labels = a_batch(6)
        relations = half_known(labels, seed=6)
        per_anchor = []
        for i in range(len(vectors)):
            known = [j for j in range(len(vectors)) if j != i and relations[i, j] != 0]
            positives = [j for j in known if relations[i, j] == 1]
            if positives:
                scores = {j: math.exp(float(vectors[i] @ vectors[j]) / 0.2) for j in known}
                logs = [math.log(scores[j] / sum(scores.values())) for j in positives]
                per_anchor.append(-sum(logs) / len(logs))
        ours = supervised_contrastive_loss(vectors, relations, 0.2).item()
        assert ours == pytest.approx(sum(per_anchor) / len(per_anchor))

    def test_pytorch_metric_learning(self) -> None:
        # Where every pair is known and every anchor has both kinds, its mean over non-zero
        # anchors is a mean over all anchors with a positive.
        vectors, labels = a_batch(7)
        expected = losses.SupConLoss(0.1)(vectors, labels).item()
        ours = supervised_contrastive_loss(vectors, relations_of(labels), 0.1).item()
        assert ours == pytest.approx(expected)

    def test_large_logits_stay_finite(self) -> None:
        vectors, labels = a_batch(8)
        ours = supervised_contrastive_loss(vectors.float(), relations_of(labels), 1e-3)
        assert torch.isfinite(ours)


class TestEveryPairLoss:
    @every_loss
    def test_order_does_not_matter(self, loss: PairLoss) -> None:
        vectors, labels = a_batch(9)
        relations = half_known(labels, seed=9)
        order = torch.randperm(len(vectors), generator=torch.Generator().manual_seed(9))
        shuffled = loss(vectors[order], relations[order][:, order])
        assert shuffled.item() == pytest.approx(loss(vectors, relations).item())

    @every_loss
    def test_diagonal_does_not_matter(self, loss: PairLoss) -> None:
        vectors, labels = a_batch(10)
        relations = half_known(labels, seed=10)
        marked = relations.clone().fill_diagonal_(1)
        assert torch.equal(loss(vectors, marked), loss(vectors, relations))

    @every_loss
    def test_gradient(self, loss: PairLoss) -> None:
        vectors, labels = a_batch(11, rows=6, classes=2)
        relations = half_known(labels, seed=1)
        assert (relations > 0).any()
        assert torch.autograd.gradcheck(lambda x: loss(x, relations), vectors.requires_grad_())

    @every_loss
    @pytest.mark.parametrize("known", [0, 1, -1])
    def test_a_batch_without_a_kind_can_be_differentiated(self, loss: PairLoss, known: int) -> None:
        vectors = a_batch(12)[0].requires_grad_()
        relations = torch.full((12, 12), known, dtype=torch.int8)
        value = loss(vectors, relations)
        value.backward()  # type: ignore[no-untyped-call]
        assert vectors.grad is not None
        assert torch.isfinite(vectors.grad).all()
        if known == 0:
            assert value.item() == 0
            assert not vectors.grad.any()

    @every_loss
    def test_equal_images_have_a_finite_gradient(self, loss: PairLoss) -> None:
        vectors = at_degrees(0, 0, 0, 90, 90).requires_grad_()
        relations = relations_of(torch.tensor([0, 0, 1, 1, 1]))
        loss(vectors, relations).backward()  # type: ignore[no-untyped-call]
        assert vectors.grad is not None
        assert torch.isfinite(vectors.grad).all()

    @every_loss
    def test_unknown_pairs_have_no_influence(self, loss: PairLoss) -> None:
        def value_and_gradient(stranger: Tensor) -> tuple[Tensor, Tensor]:
            vectors, labels = a_batch(13)
            relations = relations_of(labels)
            relations[0] = relations[:, 0] = 0
            vectors[0] = stranger
            vectors.requires_grad_()
            value = loss(vectors, relations)
            value.backward()  # type: ignore[no-untyped-call]
            assert vectors.grad is not None
            return value.detach(), vectors.grad

        near, far = a_batch(14)[0][:2]
        value, gradient = value_and_gradient(near)
        other_value, other_gradient = value_and_gradient(far)
        assert not gradient[0].any()
        assert gradient[1:].any()
        assert torch.equal(value, other_value)
        assert torch.equal(gradient, other_gradient)

    @every_loss
    def test_twenty_steps_bring_the_right_images_together(self, loss: PairLoss) -> None:
        start, labels = a_batch(15)
        relations = relations_of(labels)
        weights = start.clone().requires_grad_()
        optimizer = torch.optim.SGD([weights], lr=0.2)
        for _ in range(20):
            optimizer.zero_grad()
            loss(normalize(weights, dim=1), relations).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        after = normalize(weights.detach(), dim=1)

        def contrast(vectors: Tensor) -> float:
            similarity = vectors @ vectors.T
            return (similarity[relations > 0].mean() - similarity[relations < 0].mean()).item()

        assert loss(after, relations) < loss(start, relations)
        assert contrast(after) > contrast(start) + 0.1
