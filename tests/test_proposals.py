import itertools
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from likewise.answers.coverage import coverage_order
from likewise.answers.ledger import Ledger
from likewise.answers.links import Links
from likewise.answers.placing import CoverPlace
from likewise.answers.pool import Pool, Proposer
from likewise.answers.proposals import EASY_SHARE, proposer_for
from likewise.answers.standing import Answer, Pair, Verdict
from likewise.neighbours.vectors import Embeddings
from likewise.settings import Strategy

STRATEGIES: list[Strategy] = [
    "random",
    "nearest",
    "neighbours",
    "uncertain",
    "likely-first",
    "cover-place-spread",
]
NOW = datetime(2026, 3, 1, tzinfo=UTC)


def unit_clusters(count: int, clusters: int, noise: float = 0.15) -> tuple[np.ndarray, np.ndarray]:
    """Unit vectors around random centres, with the cluster of each; a third is in the first."""
    rng = np.random.default_rng(7)
    chances = np.r_[1 / 3, np.full(clusters - 1, 2 / 3 / (clusters - 1))] if clusters > 1 else [1]
    labels = np.r_[np.arange(clusters), rng.choice(clusters, count - clusters, p=chances)]
    vectors = rng.normal(size=(clusters, 16))[labels] / 4 + noise * rng.normal(size=(count, 16))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    return vectors, labels


def embeddings_of(folder: Path, vectors: np.ndarray, neighbours: int = 10) -> Embeddings:
    similarity = vectors @ vectors.T
    np.fill_diagonal(similarity, -2)
    rows = np.argsort(-similarity, axis=1)[:, : min(neighbours, len(vectors) - 1)]
    near = np.take_along_axis(similarity, rows, axis=1)
    np.savez(folder / "neighbours.npz", rows=rows.astype(np.int64), similarities=near)
    ids = np.array([f"{row * 7919 % 100003:06}" for row in range(len(vectors))])
    return Embeddings(folder=folder, fingerprint="f", model="m", ids=ids, vectors=vectors)


def label(
    proposer: Proposer, verdict: Callable[[str, str], Verdict], budget: int
) -> tuple[Links, set[Pair], int]:
    """Answer up to ``budget`` proposals and check that none asks what is known."""
    ledger = Ledger()
    for asked in range(budget):
        proposal = proposer.next(ledger, ledger.answered())
        if proposal is None:
            return ledger.links, set(ledger.answered()), asked
        pair = (proposal.a, proposal.b)
        assert proposal.a < proposal.b
        assert pair not in ledger.answered()
        assert ledger.links.relation(*pair) is None or proposal.strategy == "audit"
        tell(ledger, pair, verdict(*pair), proposal.strategy)
    return ledger.links, set(ledger.answered()), budget


def tell(ledger: Ledger, pair: Pair, verdict: Verdict, strategy: str) -> None:
    number = ledger.standing.last + 1
    ledger.add(Answer(*pair, verdict, "ada", NOW, strategy, None, "", number))


@pytest.mark.parametrize("strategy", STRATEGIES)
@given(classes=st.lists(st.integers(0, 3), max_size=9), unsure=st.integers(0, 4))
@settings(max_examples=25, deadline=None)
def test_small_sets_are_asked_until_everything_is_known(
    tmp_path_factory: pytest.TempPathFactory, strategy: Strategy, classes: list[int], unsure: int
) -> None:
    vectors = np.random.default_rng(0).normal(size=(len(classes), 4)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    embeddings = embeddings_of(tmp_path_factory.mktemp("e"), vectors)
    kind = dict(zip(map(str, embeddings.ids), classes, strict=True))
    doubts = set(list(itertools.combinations(sorted(kind), 2))[:unsure])

    def verdict(a: str, b: str) -> Verdict:
        if (a, b) in doubts:
            return "unsure"
        return "similar" if kind[a] == kind[b] else "dissimilar"

    links, taken, asked = label(proposer_for(strategy, embeddings), verdict, 1000)
    assert asked <= len(classes) * (len(classes) - 1) // 2
    for a, b in itertools.combinations(sorted(kind), 2):
        relation = links.relation(a, b)
        assert relation is None or relation == ("must" if kind[a] == kind[b] else "cannot")
        assert relation is not None or (a, b) in taken


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_held_out_images_and_pairs_on_other_screens_are_not_asked(
    tmp_path: Path, strategy: Strategy
) -> None:
    vectors, _ = unit_clusters(40, 4)
    embeddings = embeddings_of(tmp_path, vectors)
    hidden = set(map(str, embeddings.ids[::2]))
    proposer = proposer_for(strategy, embeddings, hidden, seed=3)
    taken: set[Pair] = set()
    while proposal := proposer.next(Ledger(), taken):
        assert not {proposal.a, proposal.b} & hidden
        assert (proposal.a, proposal.b) not in taken
        taken.add((proposal.a, proposal.b))
        assert proposal.score == pytest.approx(
            vectors[embeddings.positions[proposal.a]] @ vectors[embeddings.positions[proposal.b]]
        )
        assert proposal.reason
    assert len(taken) == 20 * 19 / 2


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_proposal_depends_on_answers_and_seed_alone(tmp_path: Path, strategy: Strategy) -> None:
    vectors, labels = unit_clusters(80, 4)
    embeddings = embeddings_of(tmp_path, vectors)
    kind = dict(zip(map(str, embeddings.ids), labels, strict=True))
    veteran, ledger = proposer_for(strategy, embeddings, seed=1), Ledger()
    for _ in range(40):
        found = veteran.next(ledger, ledger.answered())
        assert found is not None
        pair = (found.a, found.b)
        same = kind[found.a] == kind[found.b]
        tell(ledger, pair, "similar" if same else "dissimilar", found.strategy)
    newcomer = proposer_for(strategy, embeddings, seed=1)
    taken = ledger.answered()
    assert newcomer.next(ledger, taken) == veteran.next(ledger, taken)
    if strategy in ("random", "neighbours", "uncertain"):
        first = proposer_for(strategy, embeddings, seed=2).next(Ledger(), set())
        assert first != newcomer.next(Ledger(), set())


def test_neighbour_questions_are_seldom_easy(tmp_path: Path) -> None:
    vectors, _ = unit_clusters(400, 8)
    embeddings = embeddings_of(tmp_path, vectors)
    proposer = proposer_for("neighbours", embeddings)
    rows, similarities = embeddings.neighbours()
    nearest = {frozenset((str(embeddings.ids[row]), str(embeddings.ids[near])))
               for row, near in enumerate(rows[:, 0])}  # fmt: skip
    taken: set[Pair] = set()
    easy, far = 0, 0
    for _ in range(300):
        proposal = proposer.next(Ledger(), taken)
        assert proposal is not None
        taken.add((proposal.a, proposal.b))
        close = proposal.score > float(np.median(similarities[:, 0]))
        easy += close or frozenset((proposal.a, proposal.b)) in nearest
        far += proposal.score < float(similarities[:, -1].min())
    assert 0.1 < easy / 300 < EASY_SHARE + 0.08
    assert far > 30


def test_cover_and_place_finds_all_groups_in_few_questions(tmp_path: Path) -> None:
    """Twelve clusters of unequal size: far more images placed than by random pairs."""
    vectors, labels = unit_clusters(1500, 12, noise=0.1)
    embeddings = embeddings_of(tmp_path, vectors)
    kind = dict(zip(map(str, embeddings.ids), map(int, labels), strict=True))

    def verdict(a: str, b: str) -> Verdict:
        return "similar" if kind[a] == kind[b] else "dissimilar"

    placed = {}
    for strategy in ("cover-place-spread", "random"):
        proposer = proposer_for(strategy, embeddings)
        reserve = {proposer.pool.ids[row] for row in proposer.pool.reserve.tolist()}
        links, _, _ = label(proposer, verdict, 150)
        groups = [group for group in links.groups() if len(group) > 1]
        if strategy == "cover-place-spread":  # without the images that are there to calibrate
            groups = [[each for each in group if each not in reserve] for group in groups]
            groups = [group for group in groups if len(group) > 1]
            assert {kind[group[0]] for group in groups} == set(range(12))
            assert len(groups) <= 13
        placed[strategy] = sum(map(len, groups))
    assert placed["cover-place-spread"] >= 80
    assert placed["cover-place-spread"] > 3 * max(map(len, links.groups()))
    assert placed["cover-place-spread"] > 2 * sum(len(group) for group in groups[:12])


def test_images_on_other_screens_are_left_alone(tmp_path: Path) -> None:
    vectors, _ = unit_clusters(200, 5)
    proposer = proposer_for("cover-place-spread", embeddings_of(tmp_path, vectors))
    busy: set[str] = set()
    taken: set[Pair] = set()
    asked = []
    for _ in range(5):
        proposal = proposer.next(Ledger(), taken, busy)
        assert proposal is not None
        asked.append(proposal)
        taken.add((proposal.a, proposal.b))
        busy |= {proposal.a, proposal.b}
    assert len(busy) == 10


def test_coverage_takes_one_image_of_each_cluster_first_the_typical_one() -> None:
    vectors, labels = unit_clusters(300, 5, noise=0.05)
    order = list(coverage_order(vectors))
    assert sorted(order) == list(range(300))
    assert set(labels[order[:5]]) == set(range(5))
    assert labels[order[0]] == 0, "the largest cluster is the most typical"


def test_coverage_is_the_greedy_optimum() -> None:
    """Against greedy facility location by exhaustive search with the same kernel width."""
    vectors, _ = unit_clusters(40, 3, noise=0.3)
    distances = 1 - vectors @ vectors.T
    kernel = np.exp(-distances / np.median(np.sort(distances, axis=1)[:, 1]))
    chosen: list[int] = []
    for _ in range(10):
        covered = kernel[chosen].max(axis=0) if chosen else np.zeros(40)
        gains = np.maximum(kernel, covered).sum(axis=1)
        chosen.append(int(np.argmax(gains)))
    assert [row for row, _ in zip(coverage_order(vectors), range(10), strict=False)] == chosen


def test_an_image_unlike_five_groups_waits_and_may_be_joined() -> None:
    """Nine classes, two images each: the last image of every class finds its twin."""
    rng = np.random.default_rng(0)
    centres = np.linalg.qr(rng.normal(size=(16, 16)))[0][:9]
    vectors = np.repeat(centres, 2, axis=0).astype(np.float32)
    vectors += 0.02 * rng.normal(size=vectors.shape).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    ids = [f"{row:02}" for row in range(18)]
    pool = Pool(ids, vectors, np.arange(18), {each: row for row, each in enumerate(ids)})
    links, _, asked = label(
        CoverPlace(pool, 0), lambda a, b: "similar" if int(a) // 2 == int(b) // 2 else "dissimilar",
        45,
    )  # fmt: skip
    assert asked == 45
    assert links.groups_of_several == 9


@pytest.mark.parametrize("classes", [[0, 0, 1, 1, 1, 2, 0, 1], [0] * 7, list(range(7)), [0, 1] * 5])
def test_everything_is_asked_until_it_is_known(tmp_path: Path, classes: list[int]) -> None:
    vectors = np.random.default_rng(1).normal(size=(len(classes), 4)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    embeddings = embeddings_of(tmp_path, vectors)
    kind = dict(zip(map(str, embeddings.ids), classes, strict=True))
    links, _, _ = label(
        proposer_for("cover-place-spread", embeddings),
        lambda a, b: "similar" if kind[a] == kind[b] else "dissimilar",
        1000,
    )
    for a, b in itertools.combinations(sorted(kind), 2):
        assert links.relation(a, b) == ("must" if kind[a] == kind[b] else "cannot")


@pytest.mark.parametrize("hidden", [(), (3, 8, 11)])
def test_images_come_from_near_to_far_with_and_without_known_neighbours(
    hidden: tuple[int, ...],
) -> None:
    vectors, _ = unit_clusters(30, 4)
    ids = [f"{row:02}" for row in range(30)]
    positions = {each: row for row, each in enumerate(ids) if row not in hidden}
    rows = np.array(list(positions.values()))
    similarity = vectors @ vectors.T
    nearest = np.argsort(-(similarity - 9 * np.eye(30)), axis=1)
    known = np.pad(nearest[:, :5], ((0, 0), (0, 2)), constant_values=-1)
    for row in (0, 29):
        expected = [each for each in nearest[row, :-1].tolist() if each not in hidden]
        assert list(Pool(ids, vectors, rows, positions).nearest(row)) == expected
        found = list(Pool(ids, vectors, rows, positions, known).nearest(row))
        first = len([each for each in nearest[row, :5] if each not in hidden])
        assert found == expected[:first] + expected


def test_a_proposal_among_many_images_is_as_quick_as_among_few() -> None:
    few, many = _seconds_of_proposals(1000), _seconds_of_proposals(10_000)
    in_turns = [(next(few), next(many)) for _ in range(200)]  # one machine, one load
    taken = np.array(in_turns)
    assert taken[:, 1].mean() < 1.5 * taken[:, 0].mean()
    assert np.median(taken) < 0.03  # what a whole answer may take


def _seconds_of_proposals(count: int) -> Iterator[float]:
    vectors, labels = unit_clusters(count, 20)
    ids = [f"{row:05}" for row in range(count)]
    pool = Pool(ids, vectors, np.arange(count), {each: row for row, each in enumerate(ids)})
    proposer, ledger = CoverPlace(pool, 0), Ledger()
    while True:
        start = time.process_time()  # what others do does not count
        proposal = proposer.next(ledger, ledger.answered())
        yield time.process_time() - start
        assert proposal is not None
        same = labels[int(proposal.a)] == labels[int(proposal.b)]
        verdict: Verdict = "similar" if same else "dissimilar"
        tell(ledger, (proposal.a, proposal.b), verdict, proposal.strategy)
