"""The objects below a prefix of a bucket, of Amazon S3 or anything that speaks its protocol. Requests are signed with botocore and go
through the door like all others: boto3's own connections would reach whatever an address resolves to."""

import re
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from typing import ClassVar
from urllib.parse import quote, unquote_plus, urlencode
from xml.etree import ElementTree as ET

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from backends.contracts.sources import Door, Field, Source, SourceFile
from backends.errors import Rejected
from backends.sources import web

_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,254}")
_REGION = re.compile(r"[a-z0-9-]{1,40}")
_PAGE = 1000


class S3Source(Source):
    name = "s3"
    title = "An S3 bucket"
    fields: ClassVar[tuple[Field, ...]] = (
        Field("bucket", "Bucket", is_required=True),
        Field("prefix", "Prefix", "All objects whose keys begin so, such as data/2026/."),
        Field("endpoint", "Endpoint", "Address of another server than Amazon's, such as https://s3.example.org."),
        Field("region", "Region", default="us-east-1"),
        Field("access_key", "Access key", "Left empty, the bucket is asked without signing.", is_secret=True),
        Field("secret_key", "Secret key", is_secret=True),
    )

    def __init__(self, given: Mapping[str, str], door: Door) -> None:
        super().__init__(given, door)
        self._bucket, self._region = given["bucket"], given.get("region", "us-east-1")
        if not _BUCKET.fullmatch(self._bucket):
            raise Rejected("A bucket is named with letters, digits, dot, dash, underscore.", "bucket")
        if not _REGION.fullmatch(self._region):
            raise Rejected("A region is named like eu-west-1.", "region")
        endpoint = given.get("endpoint", "")
        self._endpoint = (
            web.base_of(endpoint, "The endpoint", "endpoint")
            if endpoint
            else f"https://s3.{self._region}.amazonaws.com"
        )
        self._prefix = given.get("prefix", "").lstrip("/")
        key, secret = given.get("access_key", ""), given.get("secret_key", "")
        if bool(key) != bool(secret):
            raise Rejected("An access key and its secret key go together.", "secret_key" if key else "access_key")
        self._credentials = Credentials(key, secret) if key else None

    @property
    def address(self) -> str:
        place = f"s3://{self._bucket}/{self._prefix}"
        return (f"{place} at {self._endpoint}" if self.given.get("endpoint") else place)[:1000]

    def files(self) -> Iterator[SourceFile]:
        # keys are told relative to the last folder of the prefix, as `aws s3 cp --recursive` does
        base = self._prefix[: self._prefix.rfind("/") + 1]
        token, seen = "", set()
        while True:
            asked = {"encoding-type": "url", "list-type": "2", "max-keys": str(_PAGE), "prefix": self._prefix}
            query = urlencode(
                sorted({**asked, **({"continuation-token": token} if token else {})}.items()), quote_via=quote
            )
            url = f"{self._endpoint}/{self._bucket}?{query}"
            raw, _ = web.read_text(self.door, url, self._signed(url, {}), follow=0)
            page = _xml(raw)
            for each in page.iter("Contents"):
                key, size = unquote_plus(each.findtext("Key") or ""), each.findtext("Size") or ""
                if not key.startswith(self._prefix) or not size.isdigit():
                    raise Rejected("The bucket lists what was not asked for.")
                if key.endswith("/") and size == "0":
                    continue  # how consoles draw a folder
                yield SourceFile(key[len(base) :], int(size), key={"key": key, "etag": each.findtext("ETag") or ""})
            token = page.findtext("NextContinuationToken") or ""
            if page.findtext("IsTruncated") != "true":
                return
            if not token or token in seen:
                raise Rejected("The bucket's list does not come to an end.")
            seen.add(token)

    def open(self, file: SourceFile, limit_bytes: int) -> AbstractContextManager[Iterator[bytes]]:
        url = f"{self._endpoint}/{self._bucket}/{web.escaped(file.key['key'])}"
        pinned = {"If-Match": file.key["etag"]} if file.key.get("etag") else {}
        return web.bytes_of(self.door, url, self._signed(url, pinned), limit_bytes=limit_bytes, size=file.size_bytes)

    def _signed(self, url: str, headers: dict[str, str]) -> dict[str, str]:
        """AWS Signature Version 4 over method, address and headers. Redirects are not followed with it: it names one host."""
        request = AWSRequest(method="GET", url=url, headers={**headers, "User-Agent": "mercato-import/1"})
        if self._credentials is not None:
            S3SigV4Auth(self._credentials, "s3", self._region).add_auth(request)
        return {str(name): str(value) for name, value in request.headers.items()}


def _xml(raw: bytes) -> ET.Element:
    """The answer without its namespace. An answer of S3 declares no entities, so what does is none."""
    if b"<!" in raw:
        raise Rejected("The endpoint does not answer as S3 does.")
    try:
        root = ET.fromstring(raw)  # noqa: S314 - nothing in it can expand
    except (ET.ParseError, ValueError) as error:
        raise Rejected("The endpoint does not answer as S3 does.") from error
    for each in root.iter():
        each.tag = each.tag.rpartition("}")[2]
    if root.tag != "ListBucketResult":
        raise Rejected("The endpoint does not answer as S3 does.")
    return root
