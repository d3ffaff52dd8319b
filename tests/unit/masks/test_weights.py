"""Where weights come from: a folder, S3 (real boto3 on moto's server), and the networks' own places (local servers)."""

from __future__ import annotations

import contextlib
import hashlib
import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from splatlib.config import MasksConfig
from splatlib.errors import MasksError, MissingDependencyError, SplatlibError
from splatlib.masks import mask_frames, sam2, u2net
from splatlib.masks.downloads import fetch_from_hub, fetch_parts
from splatlib.masks.weights import Weights, checked_digest, weights_path
from tests.s3_server import BUCKET, BadServer, local_s3
from tests.unit.masks.toy import capture

ONE, TWO = b"one" * 50_000, b"two" * 50_000
NOWHERE = "http://127.0.0.1:9"


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.delenv("SPLATLIB_WEIGHTS", raising=False)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setenv("SPLATLIB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "weights"


def git_blob_id(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


class FileServer:
    """Serves bytes by path, with the headers of the Hugging Face hub.

    Attributes:
        asked: paths of GET requests.
        cut_after_bytes: paths whose next answer breaks off there.
    """

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self.files, self.asked = dict(files), list[str]()
        self.cut_after_bytes: dict[str, int] = {}
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked.append(self.path)
                self.do_HEAD()
                with contextlib.suppress(OSError):
                    body = outer.files.get(self.path, b"")
                    start = int((self.headers.get("Range") or "bytes=0-").removeprefix("bytes=").split("-")[0])
                    self.wfile.write(body[start : outer.cut_after_bytes.pop(self.path, None)])

            def do_HEAD(self) -> None:
                body = outer.files.get(self.path)
                start = int((self.headers.get("Range") or "bytes=0-").removeprefix("bytes=").split("-")[0])
                self.send_response(404 if body is None else 206 if start else 200)
                self.send_header("Content-Length", str(len(body or b"") - start))
                self.send_header("ETag", f'"{sha256(body or b"")}"')
                self.send_header("X-Repo-Commit", "0" * 40)
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def server() -> Iterator[FileServer]:
    started = FileServer({"/models/aa": ONE, "/models/ab": TWO})
    yield started
    started.close()


def in_two_parts(base_url: str) -> Weights:
    parts = {"aa": git_blob_id(ONE), "ab": git_blob_id(TWO)}
    return Weights("net.pth", "its makers", lambda folder: fetch_parts(f"{base_url}/models", parts, folder / "net.pth"))


def config(place: str | None) -> MasksConfig:
    return MasksConfig(backend="u2net", weights=place)


def failure(weights: Weights, place: str | None) -> SplatlibError:
    with pytest.raises((MasksError, MissingDependencyError)) as caught:
        weights_path(weights, config(place))
    return caught.value


# A folder


@pytest.mark.parametrize(
    "fields, name, library",
    [
        ({"backend": "u2net"}, "u2net.pth", "backgroundremover"),
        ({"backend": "u2net", "u2net_model": "human"}, "u2net_human_seg.pth", "backgroundremover"),
        ({"backend": "sam2", "sam2_model": "base_plus"}, "sam2.1-hiera-base-plus", "transformers"),
    ],
)
def test_missing_weights_are_named_with_their_place_and_the_other_ways(tmp_path, fields, name, library):
    pytest.importorskip(library)
    frames, ws, _ = capture(tmp_path, 3)
    with pytest.raises(MissingDependencyError) as caught:
        mask_frames(frames, ws, MasksConfig.from_dict(fields))
    assert name in caught.value.what and "SPLATLIB_WEIGHTS" in caught.value.why
    with pytest.raises(MissingDependencyError) as caught:
        mask_frames(frames, ws, MasksConfig.from_dict({**fields, "weights": str(tmp_path)}))
    assert str(tmp_path / name) in caught.value.why
    assert all(words in caught.value.hint for words in ("https://", "'download'", "s3://"))
    assert not (ws.root / "masks").exists()


def test_checksums(tmp_path):
    file = tmp_path / "u2net.pth"
    file.write_bytes(b"weights")
    digest = checked_digest(file)
    sums = tmp_path / "SHA256SUMS"
    sums.write_text(f"{sha256(b'weights')} *u2net.pth\n{'0' * 64}  other.pth\n")
    assert checked_digest(file) == digest
    file.write_bytes(b"weighty")
    with pytest.raises(MasksError, match=r"u2net\.pth are damaged or another version"):
        checked_digest(file)


def test_checksums_and_notes_beside_the_files_of_a_folder_do_not_change_its_digest(tmp_path):
    folder = tmp_path / "net"
    (folder / ".cache").mkdir(parents=True)
    (folder / "config.json").write_bytes(b"{}")
    digest = checked_digest(folder)
    (folder / "SHA256SUMS").write_text(f"{sha256(b'{}')}  config.json\n")
    (folder / ".cache" / "note").write_text("downloading")
    assert checked_digest(folder) == digest
    (folder / "config.json").write_bytes(b"[]")
    with pytest.raises(MasksError, match=r"config\.json are damaged"):
        checked_digest(folder)


# The network's own place


def test_nothing_is_downloaded_unless_asked_for(server):
    assert "says where they are" in failure(in_two_parts(server.url), None).why
    assert server.asked == []


def test_a_download_is_joined_recorded_and_kept(server, cache):
    path = weights_path(in_two_parts(server.url), config("download"))
    assert path.read_bytes() == ONE + TWO and path.is_relative_to(cache)
    assert (path.parent / "SHA256SUMS").read_text() == f"{sha256(ONE + TWO)}  net.pth\n"
    assert sorted(file.name for file in path.parent.iterdir()) == ["SHA256SUMS", "net.pth"]
    checked_digest(path)
    assert weights_path(in_two_parts(NOWHERE), config("download")) == path, "the second time needs no network"
    assert len(server.asked) == 2


def test_the_variable_may_say_download_too(server, monkeypatch):
    monkeypatch.setenv("SPLATLIB_WEIGHTS", "download")
    assert weights_path(in_two_parts(server.url), config(None)).is_file()


def test_a_download_that_breaks_off_goes_on_with_the_part_that_is_missing(server, cache):
    server.cut_after_bytes["/models/ab"] = 1000
    error = failure(in_two_parts(server.url), "download")
    assert "net.pth" in error.what and f"{server.url}/models/ab" in error.what
    assert "1000 of 150000 bytes" in error.why and "run it again" in error.hint
    assert not (cache / "net.pth").exists(), "half of it never has its name"
    assert weights_path(in_two_parts(server.url), config("download")).read_bytes() == ONE + TWO
    assert server.asked == ["/models/aa", "/models/ab", "/models/ab"]


def test_a_place_that_cannot_be_reached_is_named_with_the_two_other_ways():
    error = failure(in_two_parts(NOWHERE), "download")
    assert isinstance(error, MissingDependencyError)
    assert "net.pth" in error.what and f"{NOWHERE}/models/aa" in error.what and "refused" in error.why
    assert "set masks.weights to the folder" in error.hint and "s3://bucket/prefix" in error.hint


def test_a_file_that_is_gone_is_said_so(server):
    del server.files["/models/ab"]
    assert "404" in failure(in_two_parts(server.url), "download").why


def test_another_file_than_promised_is_refused_and_forgotten(server, cache):
    server.files["/models/aa"] = TWO
    error = failure(in_two_parts(server.url), "download")
    assert isinstance(error, MasksError) and f"{server.url}/models/aa is not the file" in error.what
    server.files["/models/aa"] = ONE
    assert weights_path(in_two_parts(server.url), config("download")).read_bytes() == ONE + TWO


def test_a_cached_file_that_was_changed_is_refused(server):
    path = weights_path(in_two_parts(server.url), config("download"))
    path.write_bytes(TWO + ONE)
    with pytest.raises(MasksError, match="delete"):
        checked_digest(weights_path(in_two_parts(NOWHERE), config("download")))
    path.unlink()
    assert weights_path(in_two_parts(server.url), config("download")).read_bytes() == ONE + TWO


def from_hub(folder: Path, files: Mapping[str, bytes]) -> None:
    fetch_from_hub("owner/net", "0" * 40, {name: sha256(body) for name, body in files.items()}, folder / "net")


def test_the_hub_s_files_come_by_its_own_library(server, cache, monkeypatch):
    pytest.importorskip("huggingface_hub")
    monkeypatch.setenv("HF_ENDPOINT", server.url)
    files = {"config.json": b"{}", "model.safetensors": ONE}
    server.files |= {f"/owner/net/resolve/{'0' * 40}/{name}": body for name, body in files.items()}
    path = weights_path(Weights("net", "the hub", lambda folder: from_hub(folder, files)), config("download"))
    assert {file.name: file.read_bytes() for file in path.iterdir()} == files
    assert (path.parent / "SHA256SUMS").read_text().splitlines()[0] == f"{sha256(b'{}')}  net/config.json"
    checked_digest(path)


def test_the_hub_s_troubles_are_told(server, monkeypatch):
    pytest.importorskip("huggingface_hub")
    weights = Weights("net", "the hub", lambda folder: from_hub(folder, {"config.json": b"{}"}))
    # Between the hub's own attempts, of which there are six.
    monkeypatch.setattr("huggingface_hub.utils._http.time", SimpleNamespace(sleep=lambda seconds: None))
    monkeypatch.setenv("HF_ENDPOINT", NOWHERE)
    error = failure(weights, "download")
    assert f"{NOWHERE}/owner/net/resolve/{'0' * 40}/config.json cannot be downloaded" in error.what
    assert "set masks.weights to the folder" in error.hint and "s3://bucket/prefix" in error.hint
    monkeypatch.setenv("HF_ENDPOINT", server.url)
    assert "cannot be downloaded" in failure(weights, "download").what
    server.files[f"/owner/net/resolve/{'0' * 40}/config.json"] = b"[]"
    assert "is not the file that was expected" in failure(weights, "download").what


def test_each_network_knows_its_own_place(server, tmp_path, monkeypatch):
    """The engines' real tables, against servers that have other files: the error names what would have been fetched."""
    pytest.importorskip("backgroundremover")
    pytest.importorskip("transformers")
    assert set(u2net._PARTS) == {name for _, name in u2net._MODELS.values()}
    monkeypatch.setattr(u2net, "_BASE_URL", f"{server.url}/models")
    monkeypatch.setenv("HF_ENDPOINT", server.url)
    frames, ws, _ = capture(tmp_path, 3)
    server.files["/models/u2haa"] = ONE
    with pytest.raises(MasksError, match=r"u2net_human_seg\.pth cannot be downloaded: .*/models/u2haa is not the file"):
        mask_frames(frames, ws, MasksConfig(backend="u2net", u2net_model="human", weights="download"))
    revision = sam2._PINNED["base_plus"][0]
    place = rf"/facebook/sam2\.1-hiera-base-plus/resolve/{revision}/config\.json"
    with pytest.raises(MissingDependencyError, match=place):
        mask_frames(frames, ws, MasksConfig(backend="sam2", sam2_model="base_plus", weights="download"))


# S3


@pytest.fixture(scope="module")
def s3_server() -> Iterator[tuple[BadServer, Any]]:
    pytest.importorskip("boto3")
    pytest.importorskip("moto")
    with local_s3() as started:
        yield started


@pytest.fixture
def bucket(s3_server: tuple[BadServer, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    front, client = s3_server
    front.fetched.clear()
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", front.endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "no-config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "no-credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    return client


def test_weights_under_an_s3_prefix(bucket, s3_server, cache):
    files = {"net.pth": ONE, "SHA256SUMS": f"{sha256(ONE)}  net.pth\n".encode(), "other.pth": TWO}
    for name, body in files.items():
        bucket.put_object(Bucket=BUCKET, Key=f"weights/{name}", Body=body)
    weights = in_two_parts(NOWHERE)
    path = weights_path(weights, config(f"s3://{BUCKET}/weights"))
    assert path.read_bytes() == ONE and path.is_relative_to(cache)
    assert checked_digest(path) and not (path.parent / "other.pth").exists()
    fetched = len(s3_server[0].fetched)
    assert weights_path(weights, config(f"s3://{BUCKET}/weights/")).read_bytes() == ONE
    assert weights_path(weights, config(f"s3://{BUCKET}/weights")) == path
    assert len(s3_server[0].fetched) <= fetched + 2, "what is here is not fetched again"
    bucket.put_object(Bucket=BUCKET, Key="weights/net.pth", Body=TWO)
    with pytest.raises(MasksError, match=r"net\.pth are damaged or another version"):
        checked_digest(weights_path(weights, config(f"s3://{BUCKET}/weights")))


def test_a_folder_of_weights_under_an_s3_prefix(bucket):
    for name in ("net/config.json", "net/model.safetensors"):
        bucket.put_object(Bucket=BUCKET, Key=f"folders/{name}", Body=ONE)
    path = weights_path(Weights("net", "its makers", lambda folder: None), config(f"s3://{BUCKET}/folders"))
    assert sorted(file.name for file in path.iterdir()) == ["config.json", "model.safetensors"]


@pytest.mark.parametrize("prefix", [f"s3://{BUCKET}/weights/none", "s3://no-such-bucket-here/weights"])
def test_weights_that_are_not_in_s3(bucket, prefix):
    bucket.put_object(Bucket=BUCKET, Key="weights/none/other.pth", Body=ONE)
    error = failure(in_two_parts(NOWHERE), prefix)
    assert isinstance(error, MissingDependencyError)
    assert "net.pth" in error.what and prefix in error.what
    assert "'download'" in error.hint and "set masks.weights to the folder" in error.hint


def test_s3_that_cannot_be_reached(bucket, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", NOWHERE)
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    error = failure(in_two_parts(NOWHERE), f"s3://{BUCKET}/weights")
    assert "net.pth cannot be copied from" in error.what and "'download'" in error.hint
