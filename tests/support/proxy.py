"""Connections that stop in the middle."""

import contextlib
import socket
import threading
from collections.abc import Callable
from typing import Self


class SwallowingProxy:
    """Passes connections on to `target` until `limit` bytes have gone there; then it calls `then` once and passes nothing on any
    more: what the other end sees is a sender that has died."""

    def __init__(self, target: tuple[str, int], limit: int, then: Callable[[], object]) -> None:
        self._target, self._limit, self._then = target, limit, then
        self._passed = 0
        self._lock = threading.Lock()
        self._sockets: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        for each in (self._listener, *self._sockets):
            # wakes the thread that waits in it
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = socket.create_connection(self._target)
                self._sockets += [near, far]
                threading.Thread(target=self._forward, args=(near, far), daemon=True).start()
                threading.Thread(target=self._back, args=(far, near), daemon=True).start()

    def _forward(self, near: socket.socket, far: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while piece := near.recv(65536):
                with self._lock:
                    if self._passed >= self._limit:
                        return
                    self._passed += len(piece)
                    is_over = self._passed >= self._limit
                far.sendall(piece)
                if is_over:
                    self._then()
                    far.shutdown(socket.SHUT_RDWR)
                    return

    def _back(self, far: socket.socket, near: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while piece := far.recv(65536):
                near.sendall(piece)
