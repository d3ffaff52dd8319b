"""What lies at a place in S3, and whether it may become files."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from splatlib.errors import S3Error, S3NotFoundError
from splatlib.files import digest_of
from splatlib.s3.client import denied_error, make_client, s3_errors_translated

# Where downloads under way are kept, in the folder that they go to.
OWN_FOLDER = ".s3"


def is_s3_url(place: str | os.PathLike[str]) -> bool:
    return str(place).startswith("s3://")


@dataclass(frozen=True)
class S3Object:
    """One object of a listing.

    Attributes:
        name: its path below the place that was listed, with forward slashes; of one object the last part of its key.
        etag: changes when the content does.
    """

    bucket: str
    key: str
    name: str
    size_bytes: int
    etag: str

    @property
    def url(self) -> str:
        return f"s3://{self.bucket}/{self.key}"


def list_objects(url: str, wanted: Callable[[str], bool] | None = None) -> list[S3Object]:
    """What lies at a place in S3, by name.

    ``s3://bucket/key`` is the object with that key, and if there is none, everything below ``key/``. ``s3://bucket``
    and ``s3://bucket/prefix/`` are everything below. Markers that consoles leave for empty folders are passed over.

    Args:
        url: the place.
        wanted: whether an object is listed, by its name.

    Raises:
        S3Error: the URL is wrong, the endpoint cannot be reached, or a key would leave the folder that it is copied to.
        S3AccessError: no credentials, expired ones, or no permission.
        S3NotFoundError: no such bucket, or nothing there.
        MissingDependencyError: boto3 is not installed.
    """
    bucket, key = bucket_and_key(url)
    client = make_client(url)
    denied = False
    if key and not key.endswith("/"):
        found, denied = _head(client, bucket, key)
        if found is not None:
            refuse_unsafe([found])
            return [found] if wanted is None or wanted(found.name) else []
    prefix = key if not key or key.endswith("/") else f"{key}/"
    objects = []
    with s3_errors_translated(url):
        for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
            for entry in page.get("Contents", []):
                name = entry["Key"].removeprefix(prefix)
                if entry["Key"].endswith("/") and not entry["Size"]:
                    continue
                objects.append(S3Object(bucket, entry["Key"], name, entry["Size"], entry["ETag"].strip('"')))
    if not objects and denied:
        raise denied_error(url, "reading this key is not allowed")
    if not objects:
        raise S3NotFoundError(
            f"there is nothing at {url}",
            why=f"the bucket {bucket} is there, but holds no such key and nothing below {prefix or 'it'}",
            hint=f"look at what is there: aws s3 ls s3://{bucket}/",
        )
    objects = [found for found in objects if wanted is None or wanted(found.name)]
    refuse_unsafe(objects)
    return sorted(objects, key=lambda found: found.name)


def digest_of_objects(objects: Sequence[S3Object]) -> str:
    """Digest of names, sizes and ETags: tells whether the content is the same without fetching it."""
    return digest_of([[found.name, found.size_bytes, found.etag] for found in objects])


def bucket_and_key(url: str) -> tuple[str, str]:
    # not by urlparse: a key may hold "?" and "#"
    bucket, _, key = url.removeprefix("s3://").partition("/")
    if not is_s3_url(url) or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._:-]{1,254}", bucket):
        raise S3Error(f"{url} names no bucket", hint="write it as s3://bucket/prefix/ or s3://bucket/key")
    return bucket, key


def _head(client: Any, bucket: str, key: str) -> tuple[S3Object | None, bool]:
    """The object with exactly this key; and whether looking for it was refused. A head request's errors carry no text,
    so that anything unclear is left to the listing, whose errors do."""
    from botocore.exceptions import ClientError

    with s3_errors_translated(f"s3://{bucket}/{key}"):
        try:
            head = client.head_object(Bucket=bucket, Key=key)
        except ClientError as error:
            status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
            if status not in (400, 403, 404):
                raise
            return None, status == 403
    return S3Object(bucket, key, key.rpartition("/")[2], head["ContentLength"], head["ETag"].strip('"')), False


def refuse_unsafe(objects: Sequence[S3Object]) -> None:
    """A key is any text at all, a file's path is not. Raises S3Error."""
    names = {found.name for found in objects}
    for found in objects:
        parts = found.name.split("/")
        why = ""
        if ".." in parts or "." in parts:
            why = "it leads out of the folder, with '..' or '.'"
        elif "" in parts or "\\" in found.name or re.match(r"[A-Za-z]:", found.name):
            why = "it is an absolute path, has an empty part, or a backslash"
        elif any(ord(letter) < 32 for letter in found.name):
            why = "it holds control characters"
        elif parts[0] == OWN_FOLDER:
            why = f"{OWN_FOLDER} is where the downloads under way are kept"
        elif any("/".join(parts[:depth]) in names for depth in range(1, len(parts))):
            why = "another key makes a file of a folder in it"
        if why:
            raise S3Error(
                f"the key {found.key!r} cannot be a file", why=why, hint="rename the object, or copy it by hand"
            )
