"""One file at an address of the web."""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from typing import ClassVar
from urllib.parse import unquote, urlsplit

from backends.contracts.sources import Door, Field, Source, SourceFile
from backends.errors import Rejected
from backends.sources import web


class UrlSource(Source):
    name = "url"
    title = "A web address"
    fields: ClassVar[tuple[Field, ...]] = (
        Field("url", "Address", "https:// or http://, of one file or one archive.", is_required=True),
        Field("file_name", "Name of the file", "Left empty, the last part of the address."),
        Field("sha256", "SHA-256", "When you know it: other bytes are refused."),
        Field(
            "authorization",
            "Authorization",
            "The header to send, such as Bearer …; not sent on to other hosts.",
            is_secret=True,
        ),
        Field(
            "query",
            "Query",
            "What follows the ? of the address; kept secret, as keys often stand there.",
            is_secret=True,
        ),
    )

    def __init__(self, given: Mapping[str, str], door: Door) -> None:
        super().__init__(given, door)
        web.base_of(given["url"], "The address", "url")
        self._url = given["url"]
        sha256 = given.get("sha256", "").lower()
        if sha256 and (len(sha256) != 64 or not set(sha256) <= set("0123456789abcdef")):
            raise Rejected("A SHA-256 has 64 hex digits.", "sha256")
        self._sha256 = sha256

    @classmethod
    def settle(cls, given: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
        shown, secret = super().settle(given)
        address, _, query = shown["url"].partition("#")[0].partition("?")
        shown["url"] = address
        if query:
            secret["query"] = query
        return shown, secret

    @property
    def address(self) -> str:
        return self._url[:1000]

    def files(self) -> Iterator[SourceFile]:
        last = unquote(urlsplit(self._url).path.rstrip("/").rpartition("/")[2])
        yield SourceFile(self.given.get("file_name") or last or "download", sha256=self._sha256)

    def open(self, file: SourceFile, limit_bytes: int) -> AbstractContextManager[Iterator[bytes]]:
        query = self.given.get("query", "")
        own = self.given.get("authorization", "")
        return web.bytes_of(
            self.door,
            f"{self._url}?{query}" if query else self._url,
            {"Authorization": own} if own else {},
            limit_bytes=limit_bytes,
            sha256=file.sha256,
        )
