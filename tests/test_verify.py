"""`likewise verify`: two images, files of pairs, and what it takes."""

import csv
import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import likewise
from likewise import cli
from likewise.answers.reserved import CALIBRATION
from likewise.answers.store import NewAnswer, open_answers
from likewise.answers.tabular import read_records
from likewise.errors import LikewiseError, UsageError
from likewise.images.store import open_images
from likewise.inference.pair_files import EndFinder, read_pairs
from likewise.inference.verified_pairs import VerifiedPairs
from likewise.inference.verifier import Verified, Verifier
from likewise.inference.verify import verify
from likewise.neighbours.vectors import load_embeddings
from likewise.seals import write_sealed_json
from likewise.settings import Verify
from likewise.workspace import Workspace


def answer_about(workspace: Workspace, count: int, strategy: str = CALIBRATION) -> None:
    """Answers spread over similarity: the upper half of them similar."""
    embeddings = load_embeddings(workspace)
    vectors, ids = np.asarray(embeddings.vectors), embeddings.ids.tolist()
    first, second = np.triu_indices(len(ids), k=1)
    near = (vectors @ vectors.T)[first, second]
    order = np.argsort(near)[np.linspace(0, len(near) - 1, count).astype(int)]
    middle = float(np.median(near[order]))
    with open_answers(workspace) as store:
        store.add(
            [
                NewAnswer(
                    min(ids[first[each]], ids[second[each]]),
                    max(ids[first[each]], ids[second[each]]),
                    "similar" if near[each] >= middle else "dissimilar",
                    "ada",
                    strategy=strategy,
                    score=float(near[each]),
                    fingerprint=embeddings.fingerprint,
                )
                for each in order
            ]
        )


def compared(workspace: Workspace, *images: Path, far: float = 0.01) -> Verified:
    found = verify(workspace, Verify(images=images, far=far))
    assert isinstance(found, Verified)
    return found


def judged(workspace: Workspace, file: Path, **settings: object) -> VerifiedPairs:
    return likewise.Workspace(workspace.path).verify_pairs(file, **settings)


def test_similarity_threshold_and_rates_are_those_of_status(
    embedded: Workspace, tmp_path: Path
) -> None:
    answer_about(embedded, 80)
    told = likewise.Workspace(embedded.path).status().as_json()["threshold"]
    found = compared(embedded, tmp_path / "in/kind-0/00.png", tmp_path / "in/kind-1/01.png")
    assert found.threshold is not None
    assert found.threshold.as_json() == told
    embeddings = load_embeddings(embedded)
    names = {each: row for row, each in enumerate(embeddings.ids.tolist())}
    images = open_images(embedded)
    rows = [
        names[each]
        for name in ("00.png", "01.png")
        for row, each in enumerate(images.ids.tolist())
        if images.path(row).name == name
    ]
    a, b = (embeddings.vectors[row].tolist() for row in rows)
    assert found.similarity == pytest.approx(
        math.fsum(x * y for x, y in zip(a, b, strict=True)), abs=1e-6
    )


def test_verdicts_follow_the_similarity_and_a_copy_is_the_same(
    embedded: Workspace, tmp_path: Path
) -> None:
    answer_about(embedded, 120)
    verifier = Verifier(embedded, far=0.3)
    assert verifier.threshold is not None
    images = open_images(embedded)
    every = [verifier.compare(images.path(a), images.path(b)) for a in range(8) for b in range(a)]
    every.sort(key=lambda each: each.similarity)
    chances = [each.judgement.probability for each in every]
    assert chances == sorted(chances, key=lambda each: each or 0)
    for each in every:
        sure = {"same": each.similarity >= verifier.threshold.similarity, "uncertain": True}
        sure["different"] = not sure["same"]
        assert sure[each.judgement.verdict]
    copy = tmp_path / "copy.png"
    copy.write_bytes((tmp_path / "in/kind-1/04.png").read_bytes())
    equal = compared(embedded, copy, tmp_path / "in/kind-1/04.png")
    assert equal.judgement.verdict == "same"
    assert equal.judgement.probability == 1
    assert "byte for byte" in equal.as_text()


def test_a_stricter_rate_raises_the_threshold_and_is_not_promised(
    embedded: Workspace, tmp_path: Path
) -> None:
    answer_about(embedded, 80)
    pair = tmp_path / "in/kind-0/00.png", tmp_path / "in/kind-1/01.png"
    loose, strict = (compared(embedded, *pair, far=far) for far in (0.9, 0.001))
    assert loose.threshold is not None
    assert strict.threshold is not None
    assert loose.threshold.similarity < strict.threshold.similarity
    assert not any("cannot promise" in note for note in loose.notes)
    assert any("cannot promise a false-accept rate of 0.1 %" in note for note in strict.notes)


def test_without_calibration_answers_similarity_alone_is_told(
    embedded: Workspace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    answer_about(embedded, 6)
    answer_about(embedded, 60, strategy="random")  # learnt from, so they say nothing here
    words = [str(tmp_path / "in/kind-0/00.png"), str(tmp_path / "in/kind-1/01.png")]
    assert cli.run(["verify", *words, "--workspace", str(embedded.path), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["verdict"] == "uncertain"
    assert (told["probability"], told["threshold"], told["far"], told["frr"]) == (None,) * 4
    assert -1 <= told["similarity"] <= 1
    assert told["answers"] == 0
    assert "it takes 20 answers" in told["notes"][0]
    assert "likewise label" in told["notes"][0]


def test_the_command_speaks_the_contract(
    embedded: Workspace,
    picture: Callable[..., Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    answer_about(embedded, 80)
    words = ["verify", str(tmp_path / "in/kind-0/00.png"), str(picture(tmp_path / "new.png", 77))]
    words += ["--workspace", str(embedded.path)]
    assert cli.run([*words, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    for name in ("similarity", "probability", "threshold", "far", "frr"):
        assert isinstance(told[name], float)
    assert told["verdict"] in ("same", "different", "uncertain")
    assert told["answers"] == 80
    assert told["far_interval"][0] <= told["far"] <= told["far_interval"][1]
    low, high = told["probability_interval"]
    assert 0 <= low <= told["probability"] <= high <= 1
    assert cli.run(words) == 0
    text = capsys.readouterr().out
    assert text.startswith(f"{told['verdict']}: similarity {told['similarity']:.3f}, the same with")
    assert "of different pairs pass" in text


def rows_of(tmp_path: Path) -> list[list[str]]:
    """All pairs of the 24 images, with relative paths; the same kind is the truth."""
    names = [f"kind-{each % 3}/{each:02}.png" for each in range(24)]
    return [
        [a, b, str(int(a[:6] == b[:6]))] for place, a in enumerate(names) for b in names[:place]
    ]


def write_csv(file: Path, header: list[str], rows: list[list[str]]) -> Path:
    with file.open("w", newline="") as out:
        csv.writer(out).writerows([header, *rows])
    return file


def test_a_file_of_pairs_is_scored_measured_drawn_and_written(
    embedded: Workspace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    answer_about(embedded, 80)
    file = write_csv(tmp_path / "in" / "pairs.csv", ["path_a", "path_b", "same"], rows_of(tmp_path))
    out, plot = tmp_path / "out.csv", tmp_path / "det.png"
    words = ["verify", "--pairs", str(file), "--workspace", str(embedded.path)]
    words += ["--out", str(out), "--plot", str(plot), "--bootstrap", "20", "--far", "0.05"]
    assert cli.run([*words, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["pairs"] == 276
    assert told["same"] + told["different"] + told["uncertain"] == 276
    protocol = told["protocol"]
    assert (protocol["same"], protocol["different"]) == (84, 192)
    assert protocol["resampled"] == "images"  # all hang together
    assert [each["wanted_far"] for each in protocol["points"]] == [0.1, 0.05, 0.01, 0.001, None]
    assert [each["promised"] for each in protocol["points"]] == [True, True, False, False, True]
    assert protocol["points"][-1]["threshold"] == told["threshold"]
    assert plot.read_bytes().startswith(b"\x89PNG")
    table = read_records(out)
    assert len(table) == 276
    assert {each["verdict"] for each in table} <= {"same", "different", "uncertain"}
    near = np.array([float(each["similarity"]) for each in table])
    same = np.array([each["truth"] == "same" for each in table])
    at = protocol["points"][0]["threshold"]
    assert (near[~same] >= at).mean() == pytest.approx(protocol["points"][0]["far"])
    assert (near[same] < at).mean() == pytest.approx(protocol["points"][0]["frr"])
    assert cli.run(words) == 0
    text = capsys.readouterr().out
    assert "84 same and 192 different pairs" in text
    assert "too few pairs to promise it" in text


def test_pairs_by_id_without_truth_are_only_scored(embedded: Workspace, tmp_path: Path) -> None:
    ids = open_images(embedded).ids.tolist()
    file = write_csv(tmp_path / "pairs.csv", ["id_a", "id_b"], [ids[:2], ids[2:4]])
    found = judged(embedded, file)
    assert found.protocol is None
    assert [each.ids for each in found.pairs] == [tuple(ids[:2]), tuple(ids[2:4])]
    assert len(found.as_json()["results"]) == 2
    with pytest.raises(LikewiseError, match="tells no truth of both kinds"):
        judged(embedded, file, plot=tmp_path / "det.png")


def test_rows_that_cannot_be_used_are_named_and_the_others_judged(
    embedded: Workspace, picture: Callable[..., Path], tmp_path: Path
) -> None:
    (tmp_path / "broken.png").write_bytes(b"\x89PNG, but no more")
    picture(tmp_path / "new.png", 80)
    rows = [
        ["new.png", "in/kind-0/00.png", "same"],
        ["none.png", "in/kind-0/00.png", "same"],
        ["broken.png", "in/kind-0/00.png", "same"],
        ["in/kind-1/01.png", "in/kind-0/00.png", "perhaps"],
        ["in/kind-1/01.png", "", "different"],
        ["in/kind-1/01.png", "in/kind-0/00.png", "unsure"],
    ]
    file = write_csv(tmp_path / "pairs.csv", ["path_a", "path_b", "verdict"], rows)
    found = judged(embedded, file)
    assert [each.asked.row for each in found.pairs] == [1, 6]
    assert [row for row, _ in found.problems] == [2, 3, 4, 5]
    assert "'perhaps'" in found.problems[2][1]
    assert "row 2: no image none.png" in found.as_text()
    with pytest.raises(LikewiseError, match="row 1: no image none"):
        judged(embedded, write_csv(tmp_path / "no.csv", ["path_a", "path_b"], [rows[1][:2]]))


def test_what_the_model_may_have_learnt_is_counted(embedded: Workspace, tmp_path: Path) -> None:
    """A pretrained model has learnt from no answer."""
    answer_about(embedded, 40, strategy="random")
    file = write_csv(tmp_path / "in" / "pairs.csv", ["path_a", "path_b", "same"], rows_of(tmp_path))
    assert judged(embedded, file, bootstrap=0).learnt == 0
    config = embedded.runs / "pretrain-1" / "config.json"
    later = {"kind": "finetune", "started": "2999-01-01T00:00:00+00:00"}
    write_sealed_json(config, json.loads(config.read_text()) | later)
    assert judged(embedded, file, bootstrap=0).learnt >= 40


def test_a_protocol_like_lfws(embedded: Workspace, tmp_path: Path) -> None:
    for name, source in (("Ada_L", "00"), ("Bo", "03")):
        for number in (1, 2):
            copy = tmp_path / "faces" / name / f"{name}_{number:04d}.png"
            copy.parent.mkdir(parents=True, exist_ok=True)
            original = tmp_path / "in/kind-0" / f"{source}.png"
            copy.write_bytes(original.read_bytes() + bytes(number))
    file = tmp_path / "faces" / "pairs.txt"
    file.write_text("1\t1\nAda_L\t1\t2\nAda_L\t1\tBo\t2\n")
    finder = EndFinder(open_images(embedded), [], file.parent)
    pairs, problems = read_pairs(file, finder)
    assert not problems
    assert [each.same for each in pairs] == [True, False]
    assert pairs[1].subjects == ("Ada_L", "Bo")
    assert pairs[1].b.file == tmp_path / "faces/Bo/Bo_0002.png"
    file.write_text("Ada_L\t1\n")
    with pytest.raises(LikewiseError, match=r"line 1: neither"):
        read_pairs(file, finder)


def test_cells_of_the_table_are_inert(
    embedded: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "=1+1.png").write_bytes((tmp_path / "in/kind-0/00.png").read_bytes())
    rows = [["'=1+1.png", "in/kind-1/01.png"]]
    file = write_csv(tmp_path / "pairs.csv", ["path_a", "path_b"], rows)
    judged(embedded, file, out=tmp_path / "out.csv")
    assert ",'=1+1.png," in (tmp_path / "out.csv").read_text()


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        ([], 2, "give two images"),
        (["in/kind-0/00.png"], 2, "give two images"),
        (["in/kind-0/00.png", "in/kind-1/01.png", "x.png"], 2, "give two images"),
        (["in/kind-0/00.png", "in/kind-1/01.png", "--out", "x.csv"], 2, "go with --pairs"),
        (["in/kind-0/00.png", "--pairs", "x.csv"], 2, "not both"),
        (["in/kind-0/00.png", "none.png"], 1, "none.png does not exist"),
        (["in/kind-0/00.png", "broken.png"], 1, "broken.png: "),
        (["in/kind-0/00.png", "in/kind-1/01.png", "--far", "0"], 2, "--far"),
        (["in/kind-0/00.png", "in/kind-1/01.png", "--far", "nan"], 2, "--far"),
        (["--pairs", "none.csv"], 1, "could not read none.csv"),
        (["--pairs", "none.txt"], 1, "could not read none.txt"),
        (["--pairs", "none.pdf"], 2, "the name must end in"),
        (["--pairs", "empty.csv"], 1, "has no pair that can be used"),
        (["--pairs", "empty.csv", "--out", "out.pdf"], 2, "the name must end in"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    words: list[str],
    code: int,
    told: str,
    embedded: Workspace,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "broken.png").write_bytes(b"\x89PNG, but no more")
    (tmp_path / "empty.csv").write_text("path_a,path_b\n")
    assert cli.run(["verify", *words, "--workspace", str(embedded.path)]) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    assert told in captured.err
    assert captured.err.count("\n") == 1


def test_what_is_missing_is_told(embedded: Workspace, tmp_path: Path) -> None:
    pair = tmp_path / "in/kind-0/00.png", tmp_path / "in/kind-1/01.png"
    verifier = Verifier(embedded)
    with pytest.raises(LikewiseError, match="not finite"):
        verifier.judge(np.array([0.5, np.nan]))
    embedded.embeddings.rename(tmp_path / "away")
    with pytest.raises(LikewiseError, match="no embeddings yet"):
        compared(embedded, *pair)
    with pytest.raises(UsageError, match="--far"):
        Verifier(embedded, far=1.0)
