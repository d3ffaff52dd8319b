"""Files copied into S3 under the digest of their content: none is ever sent twice, and one that broke off goes on.

An object ``<prefix>/<SHA-256>`` that is there has that content, so that a HEAD request decides. Large files go up in
parts of a fixed size; what of them arrived before a kill is still there (S3 keeps unfinished uploads) and is not sent
again.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from splatlib.errors import S3Error
from splatlib.progress import bar, logger
from splatlib.s3.client import NUM_CONNECTIONS, TO_WRITE, make_client, s3_errors_translated
from splatlib.s3.listing import bucket_and_key

# S3 admits 10,000 parts and no smaller ones than 5 MiB: up to 160 GB in one file. Never change it without the names of
# the objects: a part is taken for the same one by its number and size.
PART_BYTES = 16 * 2**20


@dataclass(frozen=True)
class Uploaded:
    """What an upload came to."""

    num_files: int
    num_sent: int
    bytes_sent: int


@dataclass(frozen=True)
class Content:
    """A file to be uploaded. ``sha256`` names it in S3."""

    path: Path
    size_bytes: int
    sha256: str


def upload(files: Sequence[Content], url: str, description: str, kms_key: str | None = None) -> Uploaded:
    """Copy files to ``<url>/<sha256>``, those that are there already left out.

    Ctrl-C, a kill or an error keeps what has arrived, and the same call goes on from there.

    Args:
        files: several may have the same content.
        url: ``s3://bucket/prefix``.
        description: of the progress bar.
        kms_key: encrypt with this key instead of the bucket's default.

    Raises:
        S3Error and its subclasses: as of ``list_objects``; or a file changed or vanished while it was sent.
    """
    bucket, prefix = bucket_and_key(url)
    work = _Work(make_client(url), bucket, prefix.rstrip("/"), _encryption(kms_key))
    distinct = list({file.sha256: file for file in files}.values())
    total_bytes = sum(file.size_bytes for file in distinct)
    with bar(total_bytes, description, unit="B") as progress:
        lock = threading.Lock()

        def advance(num_bytes: int) -> None:
            with lock:
                progress.update(num_bytes)

        work.advance = advance
        pool = ThreadPoolExecutor(NUM_CONNECTIONS, thread_name_prefix="splatlib-s3")
        try:
            sent = [done.result() for done in as_completed([pool.submit(work.send, file) for file in distinct])]
        finally:
            work.stop.set()  # also on Ctrl-C: those under way stop at the next part
            pool.shutdown(cancel_futures=True)
    uploaded = Uploaded(len(files), sum(size is not None for size in sent), sum(size or 0 for size in sent))
    logger.debug("%s: %s", description, uploaded)
    return uploaded


def put_text(url: str, text: str, kms_key: str | None = None) -> None:
    """Write one small object. Raises S3Error and its subclasses."""
    put_texts({url: text}, kms_key)


def put_texts(texts: Mapping[str, str], kms_key: str | None = None) -> None:
    """Write small objects, by their URLs, in order. Raises S3Error and its subclasses."""
    client = make_client(next(iter(texts)))
    for url, text in texts.items():
        bucket, key = bucket_and_key(url)
        with s3_errors_translated(url, needs=TO_WRITE):
            client.put_object(Bucket=bucket, Key=key, Body=text.encode(), **_encryption(kms_key))


def _encryption(kms_key: str | None) -> dict[str, str]:
    return {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": kms_key} if kms_key else {}


class _Work:
    """Sends files to one place."""

    def __init__(self, client: Any, bucket: str, prefix: str, encryption: dict[str, str]) -> None:
        self._client, self._bucket, self._prefix, self._encryption = client, bucket, prefix, encryption
        self.stop = threading.Event()
        self.advance: Callable[[int], None] = lambda num_bytes: None

    def send(self, file: Content) -> int | None:
        """Bytes sent; None if the object was there."""
        key = f"{self._prefix}/{file.sha256}"
        url = f"s3://{self._bucket}/{key}"
        with s3_errors_translated(url, needs=TO_WRITE), _file_errors_told(file):
            if self.stop.is_set():
                return None
            if self._is_there(key, file):
                self.advance(file.size_bytes)
                return None
            if file.size_bytes <= PART_BYTES:
                self._put(key, file)
                return file.size_bytes
            return self._send_parts(key, file)

    def _is_there(self, key: str, file: Content) -> bool:
        from botocore.exceptions import ClientError

        try:
            head = self._client.head_object(Bucket=self._bucket, Key=key)
        except ClientError as error:
            # 403: without s3:ListBucket S3 says so of what is not there, too; the write will tell
            if error.response["ResponseMetadata"].get("HTTPStatusCode") in (403, 404):
                return False
            raise
        return head["ContentLength"] == file.size_bytes

    def _put(self, key: str, file: Content) -> None:
        body = file.path.read_bytes()
        _refuse_changed(file, len(body))
        self._client.put_object(Bucket=self._bucket, Key=key, Body=body, **self._encryption)
        self.advance(len(body))

    def _send_parts(self, key: str, file: Content) -> int:
        upload_id, arrived = self._unfinished(key, file)
        where = {"Bucket": self._bucket, "Key": key, "UploadId": upload_id}
        sent = 0
        with file.path.open("rb") as source:
            _refuse_changed(file, source.seek(0, 2))
            for number in range(1, -(-file.size_bytes // PART_BYTES) + 1):
                size = _part_bytes(file, number)
                if number not in arrived:
                    if self.stop.is_set():
                        return sent
                    source.seek((number - 1) * PART_BYTES)
                    answer = self._client.upload_part(
                        **where, PartNumber=number, Body=source.read(size), ChecksumAlgorithm="CRC32"
                    )
                    arrived[number] = {name: value for name, value in answer.items() if name in _OF_A_PART}
                    sent += size
                self.advance(size)
        parts = [{"PartNumber": number, **arrived[number]} for number in sorted(arrived)]
        self._client.complete_multipart_upload(**where, MultipartUpload={"Parts": parts})
        return sent

    def _unfinished(self, key: str, file: Content) -> tuple[str, dict[int, dict[str, Any]]]:
        """The upload to go on with, and its parts that arrived; a new one if there is none."""
        pages = self._client.get_paginator("list_multipart_uploads").paginate(Bucket=self._bucket, Prefix=key)
        found = [upload for page in pages for upload in page.get("Uploads", []) if upload["Key"] == key]
        if found:
            latest = max(found, key=lambda upload: upload["Initiated"])["UploadId"]
            pages = self._client.get_paginator("list_parts").paginate(Bucket=self._bucket, Key=key, UploadId=latest)
            parts = {
                part["PartNumber"]: {name: value for name, value in part.items() if name in _OF_A_PART}
                for page in pages
                for part in page.get("Parts", [])
                if part["Size"] == _part_bytes(file, part["PartNumber"])
            }
            logger.debug("%s: %d parts have arrived before", key, len(parts))
            return latest, parts
        begun = self._client.create_multipart_upload(
            Bucket=self._bucket, Key=key, ChecksumAlgorithm="CRC32", **self._encryption
        )
        return begun["UploadId"], {}


# What a part of a finished upload is told by: its ETag, and the checksum that boto3 adds by itself.
_OF_A_PART = ("ETag", "ChecksumCRC32", "ChecksumCRC32C", "ChecksumCRC64NVME", "ChecksumSHA1", "ChecksumSHA256")


def _part_bytes(file: Content, number: int) -> int:
    return min(PART_BYTES, file.size_bytes - (number - 1) * PART_BYTES)


def _refuse_changed(file: Content, size_bytes: int) -> None:
    if size_bytes != file.size_bytes:
        raise S3Error(
            f"{file.path} changed while it was uploaded",
            why=f"it had {file.size_bytes} bytes and has {size_bytes}",
            hint="submit again once it is complete",
        )


@contextlib.contextmanager
def _file_errors_told(file: Content) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.filename is None:  # of a connection, not of the file
            raise
        raise S3Error(f"{file.path} cannot be read", why=error.strerror or str(error)) from error
