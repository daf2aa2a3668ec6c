"""Many HTTP calls at once over kept-alive connections, from one thread: for tests and benchmarks of the inference process."""

import asyncio
import time
from dataclasses import dataclass, field


@dataclass
class Reply:
    status: int
    headers: dict[bytes, bytes]
    body: bytes


@dataclass
class Outcome:
    """What `hammer` saw. `latencies_s` of answered calls, in no order."""

    replies: list[Reply] = field(default_factory=list)
    latencies_s: list[float] = field(default_factory=list)
    broken: int = 0
    """Calls whose connection ended before the reply was complete."""

    def statuses(self) -> dict[int, int]:
        found: dict[int, int] = {}
        for each in self.replies:
            found[each.status] = found.get(each.status, 0) + 1
        return found

    def ids(self) -> list[str]:
        """Request ids of the calls that were answered with 200."""
        return [each.headers[b"x-request-id"].decode() for each in self.replies if each.status == 200]


def post(path: str, body: bytes, **headers: str) -> bytes:
    """The bytes of one request; `_` in names of headers stands for `-`."""
    lines = [f"POST {path} HTTP/1.1", "host: 127.0.0.1", f"content-length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


async def exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes) -> Reply:
    """Raises OSError or EOFError when the connection ends before the reply is complete."""
    writer.write(request)
    head = await reader.readuntil(b"\r\n\r\n")
    first, *rest = head[:-4].split(b"\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(b":") for line in rest)}
    body = await reader.readexactly(int(headers.get(b"content-length", b"0")))
    return Reply(int(first.split()[1]), headers, body)


async def hammer(
    port: int,
    request: bytes,
    *,
    connections: int,
    total: int | None = None,
    stop: asyncio.Event | None = None,
    outcome: Outcome | None = None,
) -> Outcome:
    """Send `request` again and again over `connections` connections, `total` times in all or until `stop`. A connection that
    breaks is opened again. `outcome`, when given, is filled as the replies come."""
    outcome = outcome or Outcome()
    left = [total]

    def may_go_on() -> bool:
        if stop is not None and stop.is_set():
            return False
        if left[0] is not None:
            if left[0] == 0:
                return False
            left[0] -= 1
        return True

    async def one() -> None:
        writer = None
        while may_go_on():
            try:
                if writer is None:
                    reader, writer = await asyncio.open_connection("127.0.0.1", port)
                began = time.perf_counter()
                outcome.replies.append(await exchange(reader, writer, request))
                outcome.latencies_s.append(time.perf_counter() - began)
            except (OSError, EOFError):
                outcome.broken += 1
                if writer is not None:
                    writer.close()
                writer = None
                await asyncio.sleep(0.01)
        if writer is not None:
            writer.close()

    await asyncio.gather(*(one() for _ in range(connections)))
    return outcome
