"""Copies of what lies in Amazon S3, and copies into it. The one place that asks it for anything.

>>> objects = list_objects("s3://bucket/prefix/")
>>> files = download(objects, folder, "weights")
>>> upload(contents, "s3://bucket/blobs", "capture")

Credentials, region and endpoint are those that boto3 finds for itself: environment, profile, the machine's role.
"""

from splatlib.s3.copies import MAX_BYTES as MAX_BYTES
from splatlib.s3.copies import download as download
from splatlib.s3.listing import S3Object as S3Object
from splatlib.s3.listing import digest_of_objects as digest_of_objects
from splatlib.s3.listing import is_s3_url as is_s3_url
from splatlib.s3.listing import list_objects as list_objects
from splatlib.s3.uploads import Content as Content
from splatlib.s3.uploads import Uploaded as Uploaded
from splatlib.s3.uploads import put_text as put_text
from splatlib.s3.uploads import put_texts as put_texts
from splatlib.s3.uploads import upload as upload

__all__ = [
    "MAX_BYTES",
    "Content",
    "S3Object",
    "Uploaded",
    "digest_of_objects",
    "download",
    "is_s3_url",
    "list_objects",
    "put_text",
    "put_texts",
    "upload",
]
