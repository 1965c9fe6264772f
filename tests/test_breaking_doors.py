"""The app keeps to its workspace and to those who may come in: a real server, asked rudely."""

import io
import itertools
import re
import socket
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Origin, Subprotocol

from likewise.answers.people import People
from likewise.answers.store import open_answers
from likewise.cli import run
from likewise.images.ingest import ingest
from likewise.images.store import open_images
from likewise.neighbours.embedder_process import embedded_picture
from likewise.neighbours.vectors import write_embeddings
from likewise.serve import command_for
from likewise.settings import Ingest
from likewise.workspace import Workspace
from likewise_labeler.embedder import MAX_BYTES, Embedder
from likewise_labeler.pictures import LONG_SIDES, Pictures, full_sizes
from likewise_labeler.secret import secret
from likewise_labeler.sessions import COOKIE
from likewise_labeler.sign_in import FAILURES, FAILURES_IN_ALL, SIGN_IN
from tests import bad_images
from tests.breaking import Figure, times
from tests.served import Server
from tests.test_breaking_pixels import here

NAME, PASSWORD = "Ada Lovelace", "correct horse battery"
CANARY = "Canary-of-Jane-Doe-47.3769N-8.5417E"
"""Stands in every file that is nobody's business, and in the metadata of every image."""


def with_metadata(kind: str, seed: int) -> bytes:
    """A picture that says who took it, and where."""
    exif = Image.Exif()
    exif[0x013B], exif[0x010E], exif[0x8298] = CANARY, CANARY, CANARY
    exif.get_ifd(0x8825).update({1: "N", 2: (47.0, 22.0, 36.0), 29: CANARY})
    coarse = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), np.uint8)
    image = Image.fromarray(coarse).resize((300, 200) if seed % 2 else (40, 30))
    options: dict[str, Any] = {"exif": exif}
    if kind in ("JPEG", "PNG", "WEBP"):
        options["xmp"] = f"<x:xmpmeta>{CANARY}</x:xmpmeta>".encode()
    if kind in ("JPEG", "GIF"):
        options["comment"] = CANARY
    data = io.BytesIO()
    image.save(data, kind, **options)
    assert CANARY.encode() in data.getvalue()
    return data.getvalue()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a workspace, its images, and things beside it."""
    folder = tmp_path_factory.mktemp("doors")
    (folder / "in").mkdir()
    for seed, kind in enumerate(["JPEG", "PNG", "WEBP", "TIFF", "AVIF", "MPO"] * 2):
        (folder / "in" / f"{seed:02}.{kind.lower()}").write_bytes(with_metadata(kind, seed))
    (folder / "beside.txt").write_text(CANARY)
    workspace = Workspace(folder / "workspace")
    ingest(workspace, Ingest(images=(folder / "in",), workers=1), reader=here)
    ids = open_images(workspace).ids
    vectors = np.random.default_rng(0).normal(size=(len(ids), 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    write_embeddings(workspace, [vectors], ids, 8, "f1", "run-1")
    (workspace.path / "notes.txt").write_text(CANARY)
    with open_answers(workspace) as store:
        People(store).add(NAME, PASSWORD)
    return folder


@pytest.fixture(scope="module")
def log(place: Path) -> Path:
    return place / "server.log"


@pytest.fixture(scope="module")
def closed(place: Path, log: Path) -> Iterator[Server]:
    """The app with passwords."""
    workspace = Workspace(place / "workspace")
    with log.open("wb") as out:
        server = Server(workspace, LIKEWISE_GATE="password")
        server.log = out
        with server:
            yield server


def client(server: Server) -> httpx.Client:
    return httpx.Client(base_url=server.url, timeout=30, trust_env=False)


def try_password(asking: httpx.Client, name: str, password: str, **headers: str) -> httpx.Response:
    fields = {"name": name, "password": password}
    return asking.post(SIGN_IN, data=fields, headers=headers)


@pytest.fixture(scope="module")
def cookie(closed: Server) -> str:
    with client(closed) as asking:
        assert try_password(asking, NAME, PASSWORD).status_code == 303
        return asking.cookies[COOKIE]


def raw(server: Server, path: str, method: str = "GET", **headers: str) -> bytes:
    """What comes back for a path that no library has tidied up."""
    lines = [f"{method} {path} HTTP/1.1", f"Host: 127.0.0.1:{server.port}", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as stream:
        stream.sendall("\r\n".join([*lines, "", ""]).encode("latin-1"))
        parts = []
        while part := stream.recv(65536):
            parts.append(part)
    return b"".join(parts)


# --- paths

UP = ["../", "..%2f", "%2e%2e/", "%2e%2e%2f", "..%5c", "..\\", "....//", "..;/", "%252e%252e%252f"]
BEFORE = ["/", "/static/", "/media/", "/app/static/", "/component/x/", "/likewise/images/"]
BEFORE += ["/_stcore/", "/_stcore/bidi-components/", "/likewise/"]


def traversals(folder: Path) -> list[str]:
    """Paths that lead somewhere else, in every spelling, from every place that serves files."""
    inside = [f"{folder}/workspace/{name}" for name in ("secret", "labels.db", "workspace.toml")]
    wanted = ["etc/passwd", f"{folder}/beside.txt", f"{folder}/workspace/notes.txt", *inside]
    wanted += [f"{folder}/in/00.jpeg"]
    paths = [
        f"{before}{up * 14}{each.lstrip('/')}"
        for each, before, up in itertools.product(wanted, BEFORE, UP)
    ]
    paths += [f"{before}/{each}" for before, each in itertools.product(BEFORE, wanted)]
    paths += [f"{before}file:///{each}" for before, each in itertools.product(BEFORE, wanted)]
    paths += [f"{path}%00.png" for path in paths[:50]]
    return paths


@pytest.mark.breaking
@times(120, 700)
def test_no_path_leads_out(
    times: int, place: Path, closed: Server, cookie: str, figure: Figure
) -> None:
    """Also for somebody who is signed in."""
    key = secret(Workspace(place / "workspace"))
    forbidden = [CANARY.encode(), key, b"root:", b"SQLite format 3", b"store_size", b"Exif\0"]
    before = sorted(place.rglob("*"))
    paths = traversals(place)
    step = max(1, len(paths) // times)
    paths = paths[::step][:times] if times < len(paths) else paths
    leaked, codes = [], Counter[int]()
    headers = {"Cookie": f"{COOKIE}={cookie}"}
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda path: raw(closed, path, **headers), paths))
    for path, answer in zip(paths, answers, strict=True):
        codes[int(answer[9:12] or 0)] += 1
        if any(each in answer for each in forbidden):
            leaked.append(path)
    written = [
        raw(closed, f"/_stcore/upload_file/{up * 9}x/{up * 9}{place}/left.txt", "PUT", **headers)
        for up in UP
    ]
    figure(
        f"{len(paths)} traversals, {len(written)} of them uploads: {len(leaked)} bytes from "
        f"outside (answers: {dict(sorted(codes.items()))})"
    )
    assert not leaked
    assert all(b" 20" not in each[:15] for each in written)
    assert [each for each in sorted(place.rglob("*")) if each.name == "left.txt"] == []
    assert set(before) <= set(place.rglob("*"))


# --- pictures


@pytest.mark.breaking
def test_no_picture_says_who_took_it_and_where(
    place: Path, closed: Server, cookie: str, figure: Figure
) -> None:
    workspace = Workspace(place / "workspace")
    images = open_images(workspace)
    pictures = Pictures(images, full_sizes(workspace, images), b"")
    served = 0
    key = secret(workspace)
    with client(closed) as asking:
        asking.cookies.set(COOKIE, cookie)
        bearer = {"Authorization": f"Bearer {_pass(workspace)}"}
        told = asking.post("/likewise/label", json={"kind": "grid", "ops": []}, headers=bearer)
        assert told.status_code == 200
        assert CANARY not in told.text
        assert str(place) not in told.text
        addresses = set(re.findall(r"/likewise/images/[^\"?]+", told.text))
        assert len(addresses) > 5
        assert key.hex() not in told.text
        for address, size in itertools.product(sorted(addresses), LONG_SIDES):
            answer = asking.get(address, params={"size": size})
            assert answer.status_code == 200
            with Image.open(io.BytesIO(answer.content)) as image:
                assert not image.getexif()
                assert not {"exif", "xmp", "comment", "icc_profile"} & set(image.info)
            assert CANARY.encode() not in answer.content
            served += 1
    for image_id in images.ids:  # whatever the format
        for each in LONG_SIDES:
            data, _ = pictures.bytes_of(str(image_id), each)
            assert CANARY.encode() not in data
            assert not Image.open(io.BytesIO(data)).getexif()
            served += 1
    figure(f"{served} pictures of {len(images)} files with places and names: 0 bytes of EXIF")


def _pass(workspace: Workspace) -> str:
    from itsdangerous import URLSafeTimedSerializer

    signer = URLSafeTimedSerializer(secret(workspace), salt="likewise.pass")
    return str(signer.dumps(NAME))


# --- strangers

HOSTS = [
    *("evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "localhost@evil.example"),
    *(
        "0.0.0.0",
        "192.168.1.7",
        "[::]",
        "evil.example:80",
        "",
        "localhost:80@evil",
        "xn--localhost",
    ),
    *("localhost..", "127.0.0.1,evil.example", "evil.example#localhost", "2130706433.example"),
]
ORIGINS = [
    "https://evil.example",
    "null",
    "http://localhost.evil.example",
    "file://",
    "http://[::]",
]
PATHS = ["/", "/_stcore/health", "/_stcore/host-config", "/likewise/images/a.b", "/static/x.js"]


@pytest.mark.breaking
@pytest.mark.timeout(600)
def test_strangers_are_refused(server: Server, closed: Server, figure: Figure) -> None:
    """Other sites' pages reach neither an open app nor one with passwords."""
    let_in = tried = 0
    for host, path in itertools.product(HOSTS, PATHS):
        with socket.create_connection(("127.0.0.1", server.port), timeout=30) as stream:
            head = f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
            stream.sendall(head.encode())
            said = stream.recv(65536)
        tried += 1
        let_in += not said.startswith((b"HTTP/1.1 403", b"HTTP/1.1 400"))
    for each, origin in itertools.product((server, closed), ORIGINS):
        with client(each) as asking:
            for path in ("/likewise/label", "/likewise/history", SIGN_IN, "/_stcore/agent/mcp"):
                answer = asking.post(path, json={}, headers={"Origin": origin})
                tried += 1
                let_in += answer.status_code != 403
            read = asking.get("/", headers={"Origin": origin})
            tried += 1
            let_in += "access-control-allow-origin" in read.headers
        tried += 1
        try:
            with connect(
                f"ws://127.0.0.1:{each.port}/_stcore/stream",
                origin=Origin(origin),
                subprotocols=[Subprotocol("streamlit")],
                proxy=None,
            ):
                let_in += 1
        except InvalidStatus:
            pass
    for host in ("0.0.0.0", "::", "192.168.1.7", "example.org"):
        nobody = server.workspace.path  # in which nobody can sign in
        tried += 1
        let_in += run(["label", "--no-browser", "--host", host, "--workspace", str(nobody)]) != 2
    figure(f"{tried} requests from strangers: {let_in} let in")
    assert let_in == 0


@pytest.mark.breaking
def test_guessing_is_limited_and_nothing_secret_is_logged(
    place: Path, closed: Server, cookie: str, log: Path, figure: Figure
) -> None:
    guesses = [f"guess-number-{number}" for number in range(60)]

    def guess(password: str, name: str = NAME, **headers: str) -> int:
        with client(closed) as asking:
            return try_password(asking, name, password, **headers).status_code

    def guess_from_anywhere(password: str) -> int:
        return guess(password, "Bob", **{"X-Forwarded-For": f"10.0.1.{password.split('-')[-1]}"})

    with ThreadPoolExecutor(4) as pool:
        codes = Counter(pool.map(guess, guesses))
        spread = Counter(pool.map(guess_from_anywhere, guesses))
    with client(closed) as asking:
        locked = try_password(asking, NAME, PASSWORD)
        assert locked.status_code == 429  # also the right one has to wait
        assert 0 < int(locked.headers["retry-after"]) <= 60
    said = log.read_bytes()
    secrets = [PASSWORD.encode(), cookie.encode(), secret(Workspace(place / "workspace"))]
    secrets += [each.encode() for each in guesses] + [b"Bearer", b"scrypt$", b"argon2"]
    found = [each for each in secrets if each in said]
    figure(
        f"60 guesses at once: {codes[401]} tried, {codes[429]} told to wait; 60 that claim to come "
        f"from 60 addresses: {spread[401]} tried; {len(found)} secrets in the log"
    )
    assert codes == {401: FAILURES, 429: 60 - FAILURES}
    assert spread == {401: FAILURES_IN_ALL, 429: 60 - FAILURES_IN_ALL}
    assert not found


# --- what people bring along


@pytest.mark.breaking
def test_uploads_are_limited_in_bytes_and_pixels(
    place: Path, closed: Server, cookie: str, tmp_path: Path, figure: Figure
) -> None:
    flags = command_for("127.0.0.1", 1)
    assert f"--server.maxUploadSize={MAX_BYTES // 2**20}" in flags
    workspace = Workspace(place / "workspace")
    bombs = bad_images.bombs()
    refused = 0
    for name in ("lying PNG", "lying BMP", "lying PPM"):
        with pytest.raises(Exception, match=r"damaged|truncated|pixels|memory"):
            embedded_picture({}, workspace, "f1", bombs[name]())
        refused += 1
    enormous = bad_images.saved(Image.new("1", (10_000, 9_500)), "PNG")
    with pytest.raises(Exception, match="more than"):
        embedded_picture({}, workspace, "f1", enormous)
    with pytest.raises(Exception, match="more than 50 MB"):
        Embedder(workspace).embed(bytes(MAX_BYTES + 1), "f1")
    put = {"Cookie": f"{COOKIE}={cookie}", "Content-Length": str(10**12)}
    answer = raw(closed, "/_stcore/upload_file/nobody/file", "PUT", **put)
    figure(f"{refused + 3} uploads over the limits in bytes or pixels: 0 decoded, 0 stored")
    assert answer[9:10] == b"4"
