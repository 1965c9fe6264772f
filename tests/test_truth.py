import ast
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import likewise
from likewise.errors import LikewiseError
from likewise.evaluation.truth import read_truth, with_mate
from likewise.images.ingest import ingest
from likewise.images.store import Images, open_images
from likewise.settings import Ingest
from likewise.workspace import Workspace

SOURCE = Path(likewise.__file__).parent


def draw(file: Path, shade: int) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((8, 8, 3), shade, np.uint8)).save(file)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Images:
    folder = tmp_path_factory.mktemp("truth")
    for shade, name in enumerate(("cat/1.png", "cat/2.png", "dog/1.png", "dog/twice.png")):
        draw(folder / "photos" / name, 40 * shade)
    shutil.copy(folder / "photos/dog/1.png", folder / "photos/dog/again.png")
    shutil.copy(folder / "photos/dog/twice.png", folder / "photos/cat/twice.png")
    workspace = Workspace(folder / "workspace")
    ingest(workspace, Ingest(images=(folder / "photos",), workers=1))
    return open_images(workspace)


@pytest.fixture
def truth_of(images: Images, tmp_path: Path) -> Callable[[str], dict[str, str]]:
    """Class by file name, for the CSV of a text."""

    def read(text: str) -> dict[str, str]:
        file = tmp_path / "truth.csv"
        file.write_text(text, encoding="utf-8")
        return by_name(images, read_truth(images, str(file)).tolist())

    return read


def by_name(images: Images, classes: list[str]) -> dict[str, str]:
    return {
        f"{path.parent.name}/{path.name}": classes[row]
        for row in range(len(images))
        for path in images.paths(row)
    }


Read = Callable[[str], dict[str, str]]


def test_folders(images: Images) -> None:
    assert by_name(images, read_truth(images, "folders").tolist()) == {
        "cat/1.png": "cat",
        "cat/2.png": "cat",
        "dog/1.png": "dog",
        "dog/again.png": "dog",
        "dog/twice.png": "",
        "cat/twice.png": "",
    }


def test_csv_with_ids(images: Images, truth_of: Read) -> None:
    ids = images.ids.tolist()
    found = truth_of(f"id,label,note\n{ids[0]},a,x\n{ids[1]}, b ,y\nunheard-of,c,z\n")
    assert {name: found[name] for name in by_name(images, list(ids)) if found[name]} == {
        name: {ids[0]: "a", ids[1]: "b"}[each]
        for name, each in by_name(images, list(ids)).items()
        if each in ids[:2]
    }


def test_csv_with_ends_of_paths(truth_of: Read) -> None:
    found = truth_of("path,class\ncat/1.png,a\n2.png,b\ndog/again.png,c\n1.png,never\n")
    assert found["cat/1.png"] == "a"  # 1.png alone could be two images, so its row is ignored
    assert found["cat/2.png"] == "b"
    assert found["dog/1.png"] == found["dog/again.png"] == "c"
    assert found["dog/twice.png"] == ""


def test_csv_with_paths_from_its_own_folder(images: Images, tmp_path: Path) -> None:
    photos = images.path(0).parents[1]
    file = photos.parent / "truth.csv"
    file.write_text(f"path,class\nphotos/cat/1.png,a\n{photos / 'dog' / '1.png'},b\n")
    found = by_name(images, read_truth(images, str(file)).tolist())
    assert (found["cat/1.png"], found["dog/1.png"], found["cat/2.png"]) == ("a", "b", "")


def test_rows_that_disagree_make_an_image_unknown(truth_of: Read) -> None:
    found = truth_of("path,class\n2.png,a\ncat/2.png,b\ncat/1.png,a\n")
    assert (found["cat/2.png"], found["cat/1.png"]) == ("", "a")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("file,class\nx,y\n", r"needs a column 'id' or 'path'; it has 'file', 'class'"),
        ("path,kind\nx,y\n", r"needs a column 'class' or 'label'; it has 'path', 'kind'"),
        ("", r"it has nothing"),
        ("path,class\nelsewhere.png,a\ncat/1.png,\n", r"none of the 2 rows"),
    ],
)
def test_unusable_csv(truth_of: Read, text: str, told: str) -> None:
    with pytest.raises(LikewiseError, match=told) as failure:
        truth_of(text)
    assert "\n" not in str(failure.value)


def test_missing_csv(images: Images, tmp_path: Path) -> None:
    with pytest.raises(LikewiseError, match=r"absent\.csv: No such file.*folders"):
        read_truth(images, str(tmp_path / "absent.csv"))


def source_of(module: str) -> Path | None:
    """The file of a likewise module; None where the name is no module."""
    place = SOURCE.joinpath(*module.split(".")[1:])
    files = (place.with_suffix(".py"), place / "__init__.py")
    return next((file for file in files if file.is_file()), None)


def test_a_mate_is_another_image_of_the_same_known_class() -> None:
    labels = np.array(["cat", "", "dog", "cat", "", "cat", "eel"])
    assert np.flatnonzero(with_mate(labels)).tolist() == [0, 3, 5]


def imports_of(module: str) -> set[str]:
    """Every likewise module that a module imports as it runs, directly or through others."""
    seen: set[str] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        file = source_of(name)
        if name in seen or file is None:
            continue
        seen.add(name)
        tree = ast.parse(file.read_text(encoding="utf-8"))
        for_types_only = {
            inner
            for node in ast.walk(tree)
            if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
            for inner in ast.walk(node)
        }
        for node in set(ast.walk(tree)) - for_types_only:
            if isinstance(node, ast.Import):
                waiting += [each.name for each in node.names if each.name.startswith("likewise")]
            elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("likewise"):
                waiting += [f"{node.module}", *(f"{node.module}.{n.name}" for n in node.names)]
    return seen


def test_the_walk_sees_what_evaluation_imports() -> None:
    assert "likewise.evaluation.truth" in imports_of("likewise.evaluation.evaluate")


@pytest.mark.parametrize("room", ["images", "models", "training", "neighbours", "answers"])
def test_nothing_that_learns_can_read_the_truth(room: str) -> None:
    modules = [f"likewise.{room}.{file.stem}" for file in (SOURCE / room).glob("*.py")]
    assert len(modules) > 2
    for module in modules:
        assert "likewise.evaluation.truth" not in imports_of(module), module
