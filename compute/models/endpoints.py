"""Endpoints: a model version that answers calls under an address of its own; and the rights on them."""

from django.db import models
from django.db.models.functions import Lower

from accounts.guarded import GroupGrantBase, UserGrantBase
from common.clock import now
from common.ids import NAME_LIMIT, new_uuid
from compute.endpoint_states import EndpointState, EndpointVisibility
from metering.units import Unit

SLUG_LIMIT = 80


class Endpoint(models.Model):
    """`version_uuid`, `digest` and `signature` are what is served; the `next_` columns what is being loaded to take its place
    (or to be the first). The row outlives deletion: nobody else ever gets the slug, to which programs may still send data."""

    uuid = models.UUIDField(default=new_uuid, unique=True, editable=False)
    namespace = models.ForeignKey("accounts.Namespace", on_delete=models.PROTECT, related_name="endpoints")
    name = models.CharField(max_length=NAME_LIMIT)
    slug = models.CharField(max_length=SLUG_LIMIT, unique=True)
    """One path segment, `[a-z0-9-]`: the model name in `/v2/models/<slug>`."""
    visibility = models.CharField(max_length=12, default=EndpointVisibility.PRIVATE)
    state = models.CharField(max_length=12, default=EndpointState.DEPLOYING)
    unit = models.CharField(max_length=8, default=Unit.CALLS, choices=[(each.value, each.value) for each in Unit])
    """What its owner lets plans be priced in, beside calls."""
    token_input = models.CharField(max_length=160, blank=True)
    """Of unit TOKENS: the input whose elements are the tokens of a call. Else empty."""
    problem = models.CharField(max_length=300, blank=True)
    """Why the last load failed, for its owner."""

    version_uuid = models.UUIDField(null=True)
    version_name = models.CharField(max_length=80, blank=True)
    build_uuid = models.UUIDField(null=True)
    """The build of the version that is served; null: the version's own file."""
    digest = models.CharField(max_length=64, blank=True)
    """SHA-256 (hex) of the model file."""
    size_bytes = models.BigIntegerField(default=0)
    signature = models.JSONField(default=dict)
    """Inputs and outputs as the version says (columns, classes, example), names, datatypes and shapes as the loaded graph says."""

    next_version_uuid = models.UUIDField(null=True)
    next_version_name = models.CharField(max_length=80, blank=True)
    next_build_uuid = models.UUIDField(null=True)
    next_digest = models.CharField(max_length=64, blank=True)
    next_size_bytes = models.BigIntegerField(default=0)
    next_signature = models.JSONField(default=dict)

    created_by = models.ForeignKey("accounts.User", null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(default=now)
    updated_at = models.DateTimeField(default=now)
    deleted_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                "namespace", Lower("name"), condition=models.Q(deleted_at__isnull=True), name="endpoint_name_ci"
            ),
            models.CheckConstraint(
                condition=models.Q(state__in=[each.value for each in EndpointState]), name="endpoint_state"
            ),
            models.CheckConstraint(
                condition=models.Q(visibility__in=[each.value for each in EndpointVisibility]),
                name="endpoint_visibility",
            ),
            models.CheckConstraint(
                condition=~models.Q(state__in=["ready", "updating"]) | ~models.Q(digest=""),
                name="endpoint_serves_something",
            ),
            models.CheckConstraint(
                condition=~models.Q(state__in=["deploying", "updating"]) | ~models.Q(next_digest=""),
                name="endpoint_loads_something",
            ),
            models.CheckConstraint(
                condition=models.Q(unit=Unit.TOKENS) & ~models.Q(token_input="")
                | ~models.Q(unit=Unit.TOKENS) & models.Q(token_input=""),
                name="endpoint_tokens_have_input",
            ),
        ]
        indexes = [
            models.Index(fields=["namespace", "-created_at", "-id"], name="endpoint_in_namespace"),
            models.Index(fields=["state"], name="endpoint_by_state"),
            models.Index(fields=["version_uuid"], name="endpoint_by_version"),
        ]
        permissions = [
            (f"{level}_endpoint", f"Can {level} the endpoint")
            for level in ("discover", "use", "read", "write", "admin")
        ]
        default_permissions = ()

    def __str__(self) -> str:
        return self.name


class EndpointUserGrant(UserGrantBase):
    """A right of one person on one endpoint."""

    content_object = models.ForeignKey(Endpoint, on_delete=models.CASCADE)

    class Meta(UserGrantBase.Meta):
        abstract = False
        indexes = [models.Index(fields=["source"], name="endpoint_user_grant_source")]


class EndpointGroupGrant(GroupGrantBase):
    """A right of an organisation or a team on one endpoint."""

    content_object = models.ForeignKey(Endpoint, on_delete=models.CASCADE)

    class Meta(GroupGrantBase.Meta):
        abstract = False
        indexes = [models.Index(fields=["source"], name="endpoint_group_grant_source")]
