"""gunicorn's threaded worker, with what it forgets: bytes that it has read beyond the end of a request."""

from concurrent.futures import Future
from typing import Any

from gunicorn.workers.gthread import TConn, ThreadWorker  # type: ignore[import-untyped]


class Worker(ThreadWorker):
    """A view may answer before the client has sent its body: a refusal does. The body is then read and dropped, in pieces of
    the socket's choosing, and the last piece may hold the beginning of the client's next request. gunicorn 26.2 waits for
    the socket to become readable again, which it never does: the request hangs, and after `keepalive` seconds the client is
    told that the server has disconnected. Here such a connection is served on at once."""

    def finish_request(self, conn: TConn, fs: "Future[Any]") -> None:
        """Called on the main thread when a request is done: what has been read ahead goes back to a thread."""
        is_kept = self.alive and not fs.cancelled() and fs.exception() is None and fs.result() is True
        if is_kept and _has_read_ahead(conn):
            self.enqueue_req(conn)
        else:
            super().finish_request(conn, fs)


def _has_read_ahead(conn: TConn) -> bool:
    unreader = getattr(conn.parser, "unreader", None)
    return unreader is not None and unreader.buf.getbuffer().nbytes > 0
