"""Downloads from S3: real boto3 against moto's server, with answers that break off, throttle and refuse."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from splatlib import s3
from splatlib.errors import S3AccessError, S3Error, S3NotFoundError, WorkspaceFullError
from splatlib.s3.listing import refuse_unsafe
from tests.s3_server import BUCKET, BadServer

BIG = np.random.default_rng(0).integers(0, 256, 3 * 2**20, dtype=np.uint8).tobytes()


def put(client: Any, **objects: bytes | str) -> None:
    for key, body in objects.items():
        client.put_object(Bucket=BUCKET, Key=key.replace("__", "/"), Body=body)


def listing(client: Any, key: str, body: bytes = b"x") -> list[s3.S3Object]:
    client.put_object(Bucket=BUCKET, Key=key, Body=body)
    return s3.list_objects(f"s3://{BUCKET}/bad/")


def names(objects: list[s3.S3Object]) -> list[str]:
    return [found.name for found in objects]


def test_a_prefix_is_everything_below_it_and_a_key_is_one_object(bucket: Any) -> None:
    put(bucket, one__a="1", one__deep__b="22", one__empty__="", one_more__c="333")
    assert names(s3.list_objects(f"s3://{BUCKET}/one")) == ["a", "deep/b"]
    assert names(s3.list_objects(f"s3://{BUCKET}/one/")) == ["a", "deep/b"]
    (found,) = s3.list_objects(f"s3://{BUCKET}/one/deep/b")
    assert (found.name, found.size_bytes, found.url) == ("b", 2, f"s3://{BUCKET}/one/deep/b")
    assert len(s3.list_objects(f"s3://{BUCKET}")) == 3
    assert names(s3.list_objects(f"s3://{BUCKET}/one", wanted=lambda name: name.startswith("deep/"))) == ["deep/b"]


def test_a_listing_of_several_pages_is_complete(bucket: Any, front: BadServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOTO_S3_DEFAULT_MAX_KEYS", "4")  # S3's pages hold 1000
    for number in range(9):
        bucket.put_object(Bucket=BUCKET, Key=f"many/{number}", Body=b"x")
    assert names(s3.list_objects(f"s3://{BUCKET}/many")) == [f"{number}" for number in range(9)]
    assert sum("list-type" in line for line in front.asked) == 3


def test_what_is_downloaded_is_the_content(bucket: Any, tmp_path: Path) -> None:
    put(bucket, set__a="small", set__deep__big=BIG, set__nothing="")
    files = s3.download(s3.list_objects(f"s3://{BUCKET}/set"), tmp_path, "test")
    assert [file.relative_to(tmp_path).as_posix() for file in files] == ["a", "deep/big", "nothing"]
    assert [file.read_bytes() for file in files] == [b"small", BIG, b""]


def test_nothing_is_fetched_twice_unless_it_was_replaced(bucket: Any, front: BadServer, tmp_path: Path) -> None:
    put(bucket, set__a="one", set__b="two")
    s3.download(s3.list_objects(f"s3://{BUCKET}/set"), tmp_path, "test")
    assert len(front.fetched) == 2
    s3.download(s3.list_objects(f"s3://{BUCKET}/set"), tmp_path, "test")
    assert len(front.fetched) == 2
    put(bucket, set__b="TWO")  # the same size
    s3.download(s3.list_objects(f"s3://{BUCKET}/set"), tmp_path, "test")
    assert len(front.fetched) == 3 and (tmp_path / "b").read_text() == "TWO"


def test_a_connection_that_breaks_is_taken_up_where_it_broke(bucket: Any, front: BadServer, tmp_path: Path) -> None:
    put(bucket, big=BIG)
    front.cut_after_bytes, front.cuts_left = 2**20 + 17, 2
    (file,) = s3.download(s3.list_objects(f"s3://{BUCKET}/big"), tmp_path, "test")
    assert file.read_bytes() == BIG
    starts = [0 if asked is None else int(asked.removeprefix("bytes=").rstrip("-")) for _, asked in front.fetched]
    assert len(starts) == 3 and starts[0] == 0 and 0 < starts[1] < starts[2]


def test_a_download_that_failed_goes_on_in_the_next_call(bucket: Any, front: BadServer, tmp_path: Path) -> None:
    put(bucket, set__a="done before", set__big=BIG)
    objects = s3.list_objects(f"s3://{BUCKET}/set")
    s3.download(objects[:1], tmp_path, "test")
    front.fetched.clear()
    front.cut_after_bytes, front.cuts_left = 2**20, 1
    front.answer = (403, "AccessDenied")
    original = front.pass_on

    def refuse_after_the_cut(request: Any) -> None:
        original(request)
        front.answers_left = 1

    front.pass_on = refuse_after_the_cut  # type: ignore[method-assign]
    try:
        with pytest.raises(S3AccessError, match="denied"):
            s3.download(objects, tmp_path, "test")
    finally:
        front.pass_on = original  # type: ignore[method-assign]
    assert not (tmp_path / "big").exists(), "half a file under its name"
    front.answers_left = 0
    front.fetched.clear()
    files = s3.download(objects, tmp_path, "test")
    assert files[1].read_bytes() == BIG
    ((key, asked),) = front.fetched
    assert key == f"{BUCKET}/set/big" and asked and int(asked.removeprefix("bytes=").rstrip("-")) > 0


def test_parts_of_two_versions_never_become_one_file(bucket: Any, front: BadServer, tmp_path: Path) -> None:
    put(bucket, big=BIG)
    old = s3.list_objects(f"s3://{BUCKET}/big")
    put(bucket, big=BIG[::-1])
    with pytest.raises(S3Error, match="was replaced while"):
        s3.download(old, tmp_path, "test")
    (file,) = s3.download(s3.list_objects(f"s3://{BUCKET}/big"), tmp_path, "test")
    assert file.read_bytes() == BIG[::-1]


def test_a_kill_before_the_last_rename_fetches_nothing_again(
    bucket: Any, front: BadServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(bucket, a="content")
    objects = s3.list_objects(f"s3://{BUCKET}/a")

    def killed(part: Path, target: Path) -> Path:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            s3.download(objects, tmp_path, "test")
    front.fetched.clear()
    (file,) = s3.download(objects, tmp_path, "test")
    assert file.read_text() == "content" and front.fetched == []


def test_a_torn_journal_line_costs_one_object(bucket: Any, front: BadServer, tmp_path: Path) -> None:
    put(bucket, set__a="one", set__b="two")
    objects = s3.list_objects(f"s3://{BUCKET}/set")
    s3.download(objects, tmp_path, "test")
    journal = tmp_path / ".s3" / "arrived.jsonl"
    lines = sorted(filter(None, journal.read_text().splitlines()), key=lambda line: json.loads(line)[0])
    journal.write_text(f"{lines[0]}\n{lines[1][:9]}")
    front.fetched.clear()
    s3.download(objects, tmp_path, "test")
    s3.download(objects, tmp_path, "test")
    assert [key for key, _ in front.fetched] == [f"{BUCKET}/set/b"]


def test_exact_deletes_what_left_the_bucket_and_only_what_it_put_there(bucket: Any, tmp_path: Path) -> None:
    put(bucket, set__a="one", set__b="two")
    s3.download(s3.list_objects(f"s3://{BUCKET}/set"), tmp_path, "test")
    (tmp_path / "mine").write_text("mine")
    bucket.delete_object(Bucket=BUCKET, Key="set/b")
    s3.download(s3.list_objects(f"s3://{BUCKET}/set"), tmp_path, "test", exact=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".s3", "a", "mine"]


def test_the_digest_changes_with_names_and_contents_only(bucket: Any) -> None:
    put(bucket, one__a="same", two__a="same", three__a="other", four__b="same")
    one, two, three, four = (
        s3.digest_of_objects(s3.list_objects(f"s3://{BUCKET}/{prefix}/")) for prefix in ("one", "two", "three", "four")
    )
    assert one == two and len({one, three, four}) == 3


@pytest.mark.parametrize("key", ["bad/../out", "bad//etc/passwd", "bad/a\\b", "bad/C:x", "bad/.s3/x", "bad/a\x01b"])
def test_keys_that_are_no_paths_are_refused(bucket: Any, key: str) -> None:
    objects = [s3.S3Object(BUCKET, key, key.removeprefix("bad/"), 1, "etag")]
    with pytest.raises(S3Error, match="cannot be a file"):
        refuse_unsafe(objects)


def test_a_listing_with_a_path_trick_is_refused(bucket: Any) -> None:
    with pytest.raises(S3Error, match="backslash"):
        listing(bucket, "bad/..\\out")


def test_a_file_that_is_also_a_folder_is_refused(bucket: Any) -> None:
    listing(bucket, "bad/a")
    with pytest.raises(S3Error, match="another key"):
        listing(bucket, "bad/a/b")


def test_too_much_is_refused_before_the_first_byte(
    bucket: Any, front: BadServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(bucket, big=BIG)
    objects = s3.list_objects(f"s3://{BUCKET}/big")
    with pytest.raises(S3Error, match="GiB are downloaded"):
        s3.download(objects, tmp_path, "test", max_bytes=1000)
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 1000}))
    with pytest.raises(WorkspaceFullError, match="too small"):
        s3.download(objects, tmp_path, "test")
    assert front.fetched == []


@pytest.mark.parametrize("url", ["s3://", "s3:///key", "s3://a", "s3://white space/key", "http://bucket/key"])
def test_a_url_without_a_bucket_is_refused(url: str) -> None:
    with pytest.raises(S3Error, match="names no bucket"):
        s3.list_objects(url)


def test_what_is_not_there_is_named(bucket: Any) -> None:
    with pytest.raises(S3NotFoundError, match="no bucket of s3://another-bucket"):
        s3.list_objects("s3://another-bucket/x")
    with pytest.raises(S3NotFoundError, match=f"nothing at s3://{BUCKET}/nowhere"):
        s3.list_objects(f"s3://{BUCKET}/nowhere")


@pytest.mark.parametrize(
    ("status", "code", "error", "words"),
    [
        (403, "AccessDenied", S3AccessError, "s3:GetObject"),
        (400, "ExpiredToken", S3AccessError, "expired"),
        (403, "InvalidAccessKeyId", S3AccessError, "does not know these credentials"),
        (301, "PermanentRedirect", S3Error, "another region"),
        (403, "InvalidObjectState", S3Error, "Glacier"),
        (503, "SlowDown", S3Error, "go slower"),
        (403, "RequestTimeTooSkewed", S3AccessError, "clock"),
    ],
)
@pytest.mark.usefixtures("no_waiting")
def test_refusals_say_what_to_do(
    bucket: Any,
    front: BadServer,
    tmp_path: Path,
    status: int,
    code: str,
    error: type[S3Error],
    words: str,
) -> None:
    put(bucket, a="content")
    objects = s3.list_objects(f"s3://{BUCKET}/a")
    front.answer, front.answers_left = (status, code), 100
    with pytest.raises(error, match=words):
        s3.download(objects, tmp_path, "test")
    assert not (tmp_path / "a").exists()


@pytest.mark.usefixtures("no_waiting")
def test_throttling_that_passes_is_not_seen(bucket: Any, front: BadServer, tmp_path: Path) -> None:
    put(bucket, a="content")
    objects = s3.list_objects(f"s3://{BUCKET}/a")
    front.answer, front.answers_left = (503, "SlowDown"), 2
    assert s3.download(objects, tmp_path, "test")[0].read_text() == "content"


def test_a_connection_that_never_gives_a_byte_is_an_error(bucket: Any, front: BadServer, tmp_path: Path) -> None:
    put(bucket, big=BIG)
    objects = s3.list_objects(f"s3://{BUCKET}/big")
    front.cut_after_bytes, front.cuts_left = 0, 100
    with pytest.raises(S3Error, match="keeps breaking off"):
        s3.download(objects, tmp_path, "test")
    assert len(front.fetched) == 3


def test_without_credentials_the_error_says_where_they_come_from(bucket: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(S3AccessError, match="no AWS credentials"):
        s3.list_objects(f"s3://{BUCKET}/a")
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(S3AccessError, match="nobody"):
        s3.list_objects(f"s3://{BUCKET}/a")


@pytest.mark.usefixtures("no_waiting")
def test_an_endpoint_that_does_not_answer_is_named(bucket: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9")
    with pytest.raises(S3Error, match=r"cannot be reached(.|\n)*127.0.0.1:9"):
        s3.list_objects(f"s3://{BUCKET}/a")


def contents(folder: Path, **files: bytes) -> list[s3.Content]:
    folder.mkdir(exist_ok=True)
    for name, body in files.items():
        (folder / name).write_bytes(body)
    return [
        s3.Content(folder / name, len(body), hashlib.sha256(body).hexdigest()) for name, body in sorted(files.items())
    ]


def test_what_is_uploaded_is_named_by_its_content_and_never_sent_twice(
    bucket: Any, front: BadServer, tmp_path: Path
) -> None:
    files = contents(tmp_path, a=b"one", b=b"two", c=b"one", empty=b"")
    uploaded = s3.upload(files, f"s3://{BUCKET}/up", "test")
    assert uploaded == s3.Uploaded(num_files=4, num_sent=3, bytes_sent=6)
    for file in files:
        body = bucket.get_object(Bucket=BUCKET, Key=f"up/{file.sha256}")["Body"].read()
        assert body == file.path.read_bytes()
    put_before = len(front.put)
    renamed = contents(tmp_path / "moved", x=b"two", y=b"three")
    assert s3.upload(renamed, f"s3://{BUCKET}/up", "test") == s3.Uploaded(2, 1, 5)
    assert len(front.put) == put_before + 1


def test_a_large_file_goes_on_where_it_broke_off(
    bucket: Any, front: BadServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("splatlib.s3.uploads.PART_BYTES", 5 * 2**20)
    body = np.random.default_rng(1).integers(0, 256, 23 * 2**20, dtype=np.uint8).tobytes()
    (file,) = contents(tmp_path, big=body)
    front.puts_left, front.answer = 2, (403, "ExpiredToken")
    with pytest.raises(S3AccessError, match="expired"):
        s3.upload([file], f"s3://{BUCKET}/up", "test")
    with pytest.raises(bucket.exceptions.ClientError):
        bucket.head_object(Bucket=BUCKET, Key=f"up/{file.sha256}")
    front.puts_left = None
    assert s3.upload([file], f"s3://{BUCKET}/up", "test").bytes_sent == 13 * 2**20, "two of five parts were there"
    assert bucket.get_object(Bucket=BUCKET, Key=f"up/{file.sha256}")["Body"].read() == body
    assert s3.upload([file], f"s3://{BUCKET}/up", "test").num_sent == 0


@pytest.mark.usefixtures("no_waiting")
def test_throttled_uploads_are_repeated_and_then_told(bucket: Any, front: BadServer, tmp_path: Path) -> None:
    files = contents(tmp_path, a=b"one")
    front.puts_left, front.answer = 0, (503, "SlowDown")
    with pytest.raises(S3Error, match="asks to go slower"):
        s3.upload(files, f"s3://{BUCKET}/up", "test")
    front.puts_left = None
    assert s3.upload(files, f"s3://{BUCKET}/up", "test").num_sent == 1


def test_a_refused_upload_names_the_permissions_it_needs(bucket: Any, front: BadServer, tmp_path: Path) -> None:
    front.puts_left, front.answer = 0, (403, "AccessDenied")
    with pytest.raises(S3AccessError, match="denied") as told:
        s3.upload(contents(tmp_path, a=b"one"), f"s3://{BUCKET}/up", "test")
    assert "s3:PutObject" in told.value.hint
    front.puts_left = None
    with pytest.raises(S3NotFoundError, match="no bucket"):
        s3.upload(contents(tmp_path, a=b"one"), "s3://nowhere-of-tests/up", "test")


def test_a_file_that_changes_while_it_is_uploaded_is_told(bucket: Any, tmp_path: Path) -> None:
    (file,) = contents(tmp_path, a=b"one")
    file.path.write_bytes(b"longer")
    with pytest.raises(S3Error, match="changed while it was uploaded"):
        s3.upload([file], f"s3://{BUCKET}/up", "test")
    file.path.unlink()
    with pytest.raises(S3Error, match="cannot be read"):
        s3.upload([file], f"s3://{BUCKET}/up", "test")
