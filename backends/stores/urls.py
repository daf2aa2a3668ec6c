"""A store from one line of configuration."""

from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from backends import catalogue
from backends.contracts.stores import Store
from backends.errors import ConfigError

_S3_OPTIONS = {"endpoint", "public_endpoint", "region"}


def store_from_url(url: str) -> Store:
    """`file:///folder` or `s3://key:secret@bucket/prefix?endpoint=http://…&public_endpoint=…&region=…` (key and secret percent-encoded;
    without them boto3's own chain of credentials applies). Raises `ConfigError`, which never repeats the secret."""
    parts = urlsplit(url)
    if parts.scheme == "file":
        if parts.netloc or not parts.path.startswith("/"):
            raise ConfigError("a file storage is written file:///absolute/folder")
        store: Store = catalogue.load("stores", "filesystem", root=unquote(parts.path))
        return store
    if parts.scheme == "s3":
        return _s3(parts)
    raise ConfigError(f"the storage must begin with file:// or s3://, not {parts.scheme or 'nothing'}://")


def _s3(parts: SplitResult) -> Store:
    bucket = parts.netloc.rpartition("@")[2]
    options = dict(parse_qsl(parts.query))
    if unknown := set(options) - _S3_OPTIONS:
        raise ConfigError(
            f"unknown options of the S3 storage: {', '.join(sorted(unknown))}; there are: {', '.join(sorted(_S3_OPTIONS))}"
        )
    if not bucket:
        raise ConfigError("the S3 storage needs a bucket: s3://bucket/prefix")
    store: Store = catalogue.load(
        "stores",
        "s3",
        bucket=bucket,
        prefix=unquote(parts.path),
        access_key=unquote(parts.username) if parts.username else None,
        secret_key=unquote(parts.password) if parts.password else None,
        **options,
    )
    return store
