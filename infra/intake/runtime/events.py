"""What arrives: S3's events in SNS's envelopes in SQS's messages."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_to_bytes

MAX_SUBMITTER = 200


@dataclass(frozen=True)
class Upload:
    """One object that was uploaded, as S3's event tells of it.

    Attributes:
        raw_key: as in the event, URL-encoded.
        key: decoded; None if it is not UTF-8.
        version_id: None if the bucket keeps no versions.
        sequencer: grows with each upload of the same key; compare after padding, as ``is_older`` does.
        submitter: who uploaded it, as AWS names them.
    """

    bucket: str
    raw_key: str
    key: str | None
    size_bytes: int
    version_id: str | None
    etag: str
    sequencer: str
    submitter: str
    how: str

    @property
    def is_folder_marker(self) -> bool:
        """What consoles leave for an empty folder."""
        return self.raw_key.endswith("/") and self.size_bytes == 0


def uploads_of(message_body: str) -> Iterator[Upload]:
    """The uploads that one SQS message tells of; none for S3's test event.

    Raises ValueError, KeyError or TypeError if it is not such a message.
    """
    content = json.loads(message_body)
    if "Message" in content:  # SNS's envelope; without it where raw delivery is on
        content = json.loads(content["Message"])
    if content.get("Event") == "s3:TestEvent":
        return
    for record in content["Records"]:
        if record["eventName"].removeprefix("s3:").startswith("ObjectCreated:"):
            yield _upload(record)


def is_older(sequencer: str, than: str) -> bool:
    """Whether an upload came before another one of the same key. S3 wants the shorter one padded with zeros."""
    width = max(len(sequencer), len(than))
    return sequencer.ljust(width, "0") < than.ljust(width, "0")


def _upload(record: Mapping[str, Any]) -> Upload:
    entry = record["s3"]["object"]
    raw_key = entry["key"]
    try:
        key = unquote_to_bytes(raw_key.replace("+", " ")).decode("utf-8")
    except UnicodeDecodeError:
        key = None
    return Upload(
        bucket=record["s3"]["bucket"]["name"],
        raw_key=raw_key,
        key=key,
        size_bytes=int(entry.get("size", 0)),
        version_id=entry.get("versionId"),
        etag=entry.get("eTag", ""),
        sequencer=entry.get("sequencer", ""),
        submitter=str(record.get("userIdentity", {}).get("principalId") or "unknown")[:MAX_SUBMITTER],
        how=record["eventName"].removeprefix("s3:"),
    )
