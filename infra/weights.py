"""A one-time load of model weights into the stack's bucket, checked by SHA-256 before and after.

    python -m infra.weights FOLDER s3://BUCKET/models/

The folder holds a SHA256SUMS (``sha256sum * > SHA256SUMS``, best from whoever published the weights). A file that it
does not name, or that is another one, is refused before anything is sent. SHA256SUMS goes last: its presence means
complete. No lifecycle rule of the stack touches models/.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
from pathlib import Path
from typing import Any

from splatlib.errors import ConfigError, SplatlibError
from splatlib.launch.aws.session import aws_errors_translated, client

SUMS = "SHA256SUMS"


def load(folder: Path, place: str, s3: Any = None) -> list[str]:
    """Upload what is not there yet. Returns the names that were sent.

    Raises:
        ConfigError: the folder has no SHA256SUMS, or a file is missing in it, or is another one.
        LaunchError and its subclasses: S3 refuses, or stored something else.
    """
    sums = _checked(folder)
    bucket, _, prefix = place.removeprefix("s3://").partition("/")
    prefix = prefix.rstrip("/")
    s3 = s3 or client("s3")
    sent = []
    with aws_errors_translated("loading the weights", needs="s3:PutObject, s3:GetObject and the key"):
        for name, digest in [*sums.items(), (SUMS, _sha256(folder / SUMS))]:
            key = f"{prefix}/{name}"
            if _stored(s3, bucket, key) != digest:
                with (folder / name).open("rb") as body:
                    # S3 itself refuses a body that has another digest
                    checksum = base64.b64encode(bytes.fromhex(digest)).decode()
                    s3.put_object(
                        Bucket=bucket, Key=key, Body=body, ChecksumSHA256=checksum, Metadata={"sha256": digest}
                    )
                sent.append(name)
    return sent


def _checked(folder: Path) -> dict[str, str]:
    """Name and digest of each file, all of them compared with SHA256SUMS."""
    try:
        lines = (folder / SUMS).read_text().splitlines()
    except OSError as error:
        raise ConfigError(
            f"{folder} has no {SUMS}", why=str(error.strerror), hint=f"in it: sha256sum * > {SUMS}"
        ) from error
    sums = {name.lstrip("*"): digest for digest, name in (line.split(maxsplit=1) for line in lines if line.strip())}
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()} - {SUMS}
    if files != set(sums):
        odd = sorted(files ^ set(sums))
        raise ConfigError(f"{SUMS} and the folder do not name the same files: {', '.join(odd)}")
    for name, digest in sums.items():
        if (found := _sha256(folder / name)) != digest:
            raise ConfigError(f"{name} is not the file that {SUMS} names", why=f"{found[:12]}…, not {digest[:12]}…")
    return sums


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _stored(s3: Any, bucket: str, key: str) -> str | None:
    from botocore.exceptions import ClientError

    try:
        return s3.head_object(Bucket=bucket, Key=key).get("Metadata", {}).get("sha256")
    except ClientError as error:
        if error.response["Error"]["Code"] not in ("404", "NoSuchKey", "NotFound"):
            raise
        return None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("place", help="s3://BUCKET/models/")
    arguments = parser.parse_args()
    try:
        sent = load(arguments.folder, arguments.place)
    except SplatlibError as error:
        raise SystemExit(str(error)) from None
    print(f"{len(sent)} files sent; all are there")


if __name__ == "__main__":
    main()
