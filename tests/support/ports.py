"""Ports for servers of tests."""

import contextlib
import random
import socket

_FIRST, _LAST = 12_000, 32_000
"""Below the range from which the kernel takes the near ends of outgoing connections: a port of that range that is free now may be
one of those a moment later, and a server that is started again would not get it back."""


def free_port(count: int = 1) -> int:
    """A port of this machine that is free together with the `count - 1` after it."""
    while True:
        # not the common generator: tests seed it, alike in every process
        port = random.SystemRandom().randrange(_FIRST, _LAST - count)
        with contextlib.ExitStack() as stack, contextlib.suppress(OSError):
            for each in range(port, port + count):
                stack.enter_context(socket.socket()).bind(("127.0.0.1", each))
            return port
