"""The graph of where things come from. An edge follows the flow: its source went into its target. Append-only."""

from django.db import models

from common.clock import now


class Node(models.Model):
    """A thing that another app knows more about: its kind and its uuid, and a small number for the graph."""

    kind = models.CharField(max_length=24)
    uuid = models.UUIDField()
    created_at = models.DateTimeField(default=now)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["uuid", "kind"], name="node_once")]

    def __str__(self) -> str:
        return f"{self.kind} {self.uuid}"


class Edge(models.Model):
    """`source` went into `target`, in the way that `relation` names; `run` is the job that did it, where one did."""

    source = models.ForeignKey(Node, on_delete=models.PROTECT, related_name="outgoing", db_index=False)
    target = models.ForeignKey(Node, on_delete=models.PROTECT, related_name="incoming", db_index=False)
    relation = models.CharField(max_length=32)
    run = models.UUIDField(null=True)
    created_at = models.DateTimeField(default=now)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["source", "target", "relation"], name="edge_once"),
            models.CheckConstraint(condition=~models.Q(source=models.F("target")), name="edge_not_to_itself"),
        ]
        indexes = [models.Index(fields=["target", "source"], name="edge_upward")]

    def __str__(self) -> str:
        return f"{self.source_id} → {self.target_id} ({self.relation})"
