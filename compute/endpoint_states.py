"""The life of an endpoint.

| state | means | may become |
|---|---|---|
| deploying | its model waits to be loaded for the first time, or again | ready, failed, stopped, deleted |
| ready | answers calls | updating, stopped, deleted |
| updating | answers with one version while the next is being loaded | ready, updating, stopped, deleted |
| failed | the model could not be loaded; nothing is served | deploying, deleted |
| stopped | its owner ended it | deploying, deleted |
| deleted | final; the slug is never given to anyone else | – |
"""

from enum import StrEnum

from common.states import StateMachine


class EndpointState(StrEnum):
    DEPLOYING = "deploying"
    READY = "ready"
    UPDATING = "updating"
    FAILED = "failed"
    STOPPED = "stopped"
    DELETED = "deleted"


ENDPOINTS = StateMachine(
    "endpoint",
    {
        EndpointState.DEPLOYING: frozenset(
            {EndpointState.READY, EndpointState.FAILED, EndpointState.STOPPED, EndpointState.DELETED}
        ),
        EndpointState.READY: frozenset({EndpointState.UPDATING, EndpointState.STOPPED, EndpointState.DELETED}),
        EndpointState.UPDATING: frozenset(
            {EndpointState.READY, EndpointState.UPDATING, EndpointState.STOPPED, EndpointState.DELETED}
        ),
        EndpointState.FAILED: frozenset({EndpointState.DEPLOYING, EndpointState.DELETED}),
        EndpointState.STOPPED: frozenset({EndpointState.DEPLOYING, EndpointState.DELETED}),
        EndpointState.DELETED: frozenset(),
    },
)

SERVING = frozenset({EndpointState.READY, EndpointState.UPDATING})
"""States in which calls are answered."""
LOADING = frozenset({EndpointState.DEPLOYING, EndpointState.UPDATING})
"""States in which the inference process has a model to load and to report on."""


class EndpointVisibility(StrEnum):
    """Who learns that it exists. Calling takes more: a role that opens `use`, membership where it is organisation-wide, or a
    grant."""

    PRIVATE = "private"
    ORGANIZATION = "organization"
    PUBLIC = "public"
