"""Objects in a bucket of Amazon S3 or anything that speaks its protocol. Needs boto3."""

import contextlib
import hashlib
import urllib.parse
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any

import boto3
import botocore.exceptions
from boto3.s3.transfer import TransferConfig
from botocore.config import Config

from backends.contracts.stores import (
    CHUNK_BYTES,
    Capability,
    MultipartStore,
    ObjectStat,
    Reader,
    StoredObject,
    check_key,
)
from backends.errors import BackendError, ConfigError, Missing, NoCapacity, Rejected, Transient

PART_BYTES = 8 * CHUNK_BYTES
"""Objects up to here go in one request; larger ones in parts of this size (S3's minimum is 5 MiB), held in memory one at a time."""
_LAST_PART = 10_000
_GONE = {"404", "NoSuchKey", "NoSuchUpload", "NotFound"}
_WRONG = {"InvalidPart", "InvalidPartOrder", "EntityTooSmall", "EntityTooLarge", "InvalidArgument", "BadDigest"}
_FULL = {"QuotaExceeded", "XMinioStorageFull", "InsufficientStorage", "507"}
_SETUP = {
    "NoSuchBucket",
    "AccessDenied",
    "403",
    "InvalidAccessKeyId",
    "SignatureDoesNotMatch",
    "PermanentRedirect",
    "AllAccessDisabled",
}


class S3Store(MultipartStore):
    """Bytes in `bucket` below `prefix`. Without `access_key`, boto3's own chain of credentials applies.

    `endpoint`: address of another server than Amazon's; `public_endpoint`: the address clients use for links, when it differs.
    """

    capabilities = frozenset({Capability.LINKS, Capability.MULTIPART})

    def __init__(
        self,
        bucket: str,
        *,
        prefix: str = "",
        access_key: str | None = None,
        secret_key: str | None = None,
        endpoint: str | None = None,
        public_endpoint: str | None = None,
        region: str = "us-east-1",
    ) -> None:
        self.bucket = bucket
        self.prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""

        def client_of(address: str | None) -> Any:
            # a session of our own: boto3's default session may not be used from several threads
            return boto3.session.Session().client(
                "s3",
                endpoint_url=address,
                region_name=region,
                aws_access_key_id=access_key,
                aws_secret_access_key=secret_key,
                config=Config(
                    signature_version="s3v4",
                    connect_timeout=5,
                    read_timeout=60,
                    retries={"mode": "standard", "max_attempts": 4},
                    max_pool_connections=32,
                    s3={"addressing_style": "path" if address else "auto"},
                ),
            )

        try:
            self._client = client_of(endpoint)
            self._links = client_of(public_endpoint) if public_endpoint else self._client
        except (ValueError, botocore.exceptions.BotoCoreError) as error:
            raise ConfigError(f"the S3 storage is set up wrongly: {error}") from error

    def put(self, key: str, chunks: Iterable[bytes], *, size: int | None = None) -> StoredObject:
        name = self._name(key)
        counted = _Counted(chunks, size)
        part_bytes = PART_BYTES if size is None else max(PART_BYTES, -(-size // _LAST_PART))
        parts = _blocks(counted, part_bytes)
        first = next(parts, b"")
        with _clear_errors(key):
            if len(first) < part_bytes:
                counted.check()
                self._client.put_object(Bucket=self.bucket, Key=name, Body=first)
                return counted.result()
            upload_id = self.begin_multipart(key)
            done = False
            try:
                tags = [self._send_part(name, upload_id, 1, first)]
                del first
                tags += [self._send_part(name, upload_id, number, data) for number, data in enumerate(parts, start=2)]
                counted.check()
                self._complete_own(key, upload_id, tags, counted.result().size_bytes)
                done = True
            finally:
                if not done:
                    # whatever went wrong, the parts must not stay behind and be paid for
                    with contextlib.suppress(BackendError):
                        self.abort_multipart(key, upload_id)
        return counted.result()

    def open(self, key: str, start: int = 0, end: int | None = None) -> "S3Reader":
        name = self._name(key)
        start = max(start, 0)
        if end is not None and end <= start:
            self.stat(key)
            return S3Reader(None, key)
        ranged = {"Range": f"bytes={start}-{'' if end is None else end - 1}"} if start or end is not None else {}
        with _clear_errors(key):
            try:
                found = self._client.get_object(Bucket=self.bucket, Key=name, **ranged)
            except botocore.exceptions.ClientError as error:
                if _code(error) in {
                    "InvalidRange",
                    "416",
                }:  # the start is at or behind the end: there is nothing to read
                    return S3Reader(None, key)
                raise
        return S3Reader(found["Body"], key)

    def stat(self, key: str) -> ObjectStat:
        name = self._name(key)
        with _clear_errors(key):
            found = self._client.head_object(Bucket=self.bucket, Key=name)
        return ObjectStat(key, found["ContentLength"], found["LastModified"])

    def delete(self, key: str) -> None:
        name = self._name(key)
        with contextlib.suppress(Missing), _clear_errors(key):
            self._client.delete_object(Bucket=self.bucket, Key=name)

    def list(self, prefix: str = "") -> Iterator[ObjectStat]:
        with _clear_errors(prefix):
            for page in self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self.bucket, Prefix=self.prefix + prefix
            ):
                for found in page.get("Contents", ()):
                    yield ObjectStat(found["Key"].removeprefix(self.prefix), found["Size"], found["LastModified"])

    def move(self, source: str, target: str) -> None:
        origin, goal = self._name(source), self._name(target)
        with _clear_errors(source):
            try:
                # one request up to 5 GiB, part by part above: boto3 decides
                self._client.copy(
                    {"Bucket": self.bucket, "Key": origin}, self.bucket, goal, Config=TransferConfig(use_threads=False)
                )
            except botocore.exceptions.ClientError as error:
                if _code(error) not in _GONE:
                    raise
                self.stat(target)  # moved by an earlier call; or Missing
                return
        if origin != goal:
            self.delete(source)

    def link_for(self, key: str, *, expires_s: int, filename: str) -> str | None:
        plain = "".join(c if c.isascii() and c.isprintable() and c not in '"\\' else "_" for c in filename)
        disposition = f"attachment; filename=\"{plain}\"; filename*=UTF-8''{urllib.parse.quote(filename, safe='')}"
        link: str = self._links.generate_presigned_url(
            "get_object",
            Params={"Bucket": self.bucket, "Key": self._name(key), "ResponseContentDisposition": disposition},
            ExpiresIn=expires_s,
        )
        return link

    def begin_multipart(self, key: str) -> str:
        name = self._name(key)
        with _clear_errors(key):
            upload_id: str = self._client.create_multipart_upload(Bucket=self.bucket, Key=name)["UploadId"]
        return upload_id

    def put_part(
        self, key: str, upload_id: str, number: int, chunks: Iterable[bytes], *, size: int | None = None
    ) -> str:
        name = self._name(key)
        if not 1 <= number <= _LAST_PART:
            raise Rejected(f"a part is numbered 1 to {_LAST_PART}, not {number}")
        counted = _Counted(chunks, size)
        data = b"".join(counted)
        counted.check()
        with _clear_errors(key):
            return self._send_part(name, upload_id, number, data)[1]

    def complete_multipart(self, key: str, upload_id: str, parts: Sequence[tuple[int, str]]) -> ObjectStat:
        name = self._name(key)
        numbers = [number for number, _ in parts]
        if not parts or numbers != sorted(set(numbers)):
            raise Rejected("parts must be given once each, in ascending order")
        with contextlib.suppress(Missing), _clear_errors(key):
            # asked first: for a closed upload Amazon answers NoSuchUpload to the completion too, other servers fail with a 500
            self._client.list_parts(Bucket=self.bucket, Key=name, UploadId=upload_id, MaxParts=1)
            self._complete(name, upload_id, parts)
        return self.stat(key)

    def abort_multipart(self, key: str, upload_id: str) -> None:
        name = self._name(key)
        with contextlib.suppress(Missing), _clear_errors(key):
            self._client.abort_multipart_upload(Bucket=self.bucket, Key=name, UploadId=upload_id)

    def abort_older(self, before: datetime) -> int:
        count = 0
        with _clear_errors(""):
            pages = self._client.get_paginator("list_multipart_uploads").paginate(
                Bucket=self.bucket, Prefix=self.prefix
            )
            for page in pages:
                for found in page.get("Uploads", ()):
                    if found["Initiated"] >= before:
                        continue
                    # completed or aborted meanwhile: gone is what we want
                    with contextlib.suppress(Missing), _clear_errors(found["Key"]):
                        self._client.abort_multipart_upload(
                            Bucket=self.bucket, Key=found["Key"], UploadId=found["UploadId"]
                        )
                        count += 1
        return count

    def _name(self, key: str) -> str:
        return self.prefix + check_key(key)

    def _send_part(self, name: str, upload_id: str, number: int, data: bytes) -> tuple[int, str]:
        answer = self._client.upload_part(
            Bucket=self.bucket, Key=name, UploadId=upload_id, PartNumber=number, Body=data
        )
        return number, answer["ETag"]

    def _complete_own(self, key: str, upload_id: str, tags: Sequence[tuple[int, str]], size_bytes: int) -> None:
        """Complete an upload that nobody else knows of. When it is not open any more, an earlier try came through and its answer got
        lost on the way, unless the object says otherwise."""
        try:
            with _clear_errors(key):
                self._complete(self._name(key), upload_id, tags)
        except Missing:
            with contextlib.suppress(Missing):
                if self.stat(key).size_bytes == size_bytes:
                    return
            raise Transient(f"the S3 storage has forgotten an upload: {key}") from None

    def _complete(self, name: str, upload_id: str, parts: Sequence[tuple[int, str]]) -> None:
        listed = [{"PartNumber": number, "ETag": tag} for number, tag in parts]
        self._client.complete_multipart_upload(
            Bucket=self.bucket, Key=name, UploadId=upload_id, MultipartUpload={"Parts": listed}
        )


class S3Reader(Reader):
    """The body of one answer. A connection that breaks half-way is `Transient`: open again from where you are."""

    def __init__(self, body: Any, key: str) -> None:
        self._body = body
        self._key = key

    def read(self, size: int = -1) -> bytes:
        if self._body is None:
            return b""
        with _clear_errors(self._key):
            data: bytes = self._body.read(None if size < 0 else size)
        return data

    def close(self) -> None:
        if self._body is not None:
            self._body.close()
            self._body = None


class _Counted:
    """Passes chunks on while counting and hashing them; refuses more or fewer than stated."""

    def __init__(self, chunks: Iterable[bytes], size: int | None) -> None:
        self._chunks = chunks
        self._wanted = size
        self._digest = hashlib.sha256()
        self._size = 0

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._chunks:
            self._digest.update(chunk)
            self._size += len(chunk)
            if self._wanted is not None and self._size > self._wanted:
                raise Rejected(f"more bytes came than the stated {self._wanted}")
            yield chunk

    def check(self) -> None:
        if self._wanted is not None and self._size != self._wanted:
            raise Rejected(f"fewer bytes came than the stated {self._wanted}")

    def result(self) -> StoredObject:
        return StoredObject(self._size, self._digest.hexdigest())


def _blocks(chunks: Iterable[bytes], size: int) -> Iterator[bytes]:
    """Exactly `size` bytes each, the last one shorter or absent. After 1,000 blocks they double, and so on: the number of parts
    is limited, the length of a stream of unknown size is not."""
    held = bytearray()
    made = 0
    for chunk in chunks:
        held += chunk
        while len(held) >= size:
            yield bytes(held[:size])
            del held[:size]
            made += 1
            if made % 1000 == 0:
                size *= 2
    if held:
        yield bytes(held)


def _code(error: botocore.exceptions.ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


@contextlib.contextmanager
def _clear_errors(key: str) -> Iterator[None]:
    """Turn boto3's errors into errors that say what to do next."""
    try:
        yield
    except botocore.exceptions.ClientError as error:
        code = _code(error)
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        if code in _FULL or status == 507:
            raise NoCapacity("the storage is full") from error
        if code in _SETUP:
            raise ConfigError(f"the S3 storage refuses us: {error}") from error
        if code in _GONE:
            raise Missing(f"nothing is stored under {key}") from error
        if code in _WRONG:
            raise Rejected(f"the storage refuses: {error}") from error
        raise Transient(f"the S3 storage failed: {error}") from error
    except (botocore.exceptions.NoCredentialsError, botocore.exceptions.PartialCredentialsError) as error:
        raise ConfigError("the S3 storage has no credentials") from error
    except (
        botocore.exceptions.HTTPClientError,
        botocore.exceptions.BotoCoreError,
        boto3.exceptions.Boto3Error,
    ) as error:
        raise Transient(f"the S3 storage does not answer: {error}") from error
