"""One byte range of a download (RFC 9110 §14): what resumed downloads and readers of file headers send."""

import re

from common.errors import DomainError

_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")


class RangeBeyondEnd(DomainError):
    """The range starts behind the last byte."""

    status = 416
    default_code = "range_beyond_end"


def byte_range(header: str, size_bytes: int) -> tuple[int, int] | None:
    """Start and end (exclusive) of the range in `header`, cut to the size. None when the whole is to be sent: no range, several,
    or one that is no range at all (the RFC says to ignore it). Raises RangeBeyondEnd.
    """
    match = _RANGE.fullmatch(header.strip().replace(" ", ""))
    if match is None or match.groups() == ("", ""):
        return None
    first, last = match.groups()
    if not first:
        start, end = max(0, size_bytes - int(last)), size_bytes
        if int(last) == 0:
            start = size_bytes
    else:
        start, end = int(first), min(size_bytes, int(last) + 1) if last else size_bytes
        if last and int(last) < int(first):
            return None
    if start >= size_bytes:
        raise RangeBeyondEnd(f"The file has {size_bytes} bytes; the range starts behind its end.")
    return start, end
