"""The graph of lineage on the wire."""

from typing import TYPE_CHECKING, Any

from rest_framework import serializers

if TYPE_CHECKING:
    from lineage.queries import VisibleGraph


class NodeWire(serializers.Serializer):
    """`key` names the node within this answer. A private node tells nothing but that it is there."""

    key = serializers.CharField()
    kind = serializers.CharField()
    uuid = serializers.UUIDField(allow_null=True)
    title = serializers.CharField()
    url = serializers.CharField(allow_blank=True)
    detail = serializers.CharField(allow_blank=True)
    is_private = serializers.BooleanField()


class EdgeWire(serializers.Serializer):
    source = serializers.CharField()  # type: ignore[assignment]  # the name is the wire's
    target = serializers.CharField()
    relation = serializers.CharField(allow_blank=True)


class GraphWire(serializers.Serializer):
    focus = serializers.CharField()
    nodes = NodeWire(many=True)
    edges = EdgeWire(many=True)
    private_count = serializers.IntegerField()
    is_cut = serializers.BooleanField()


def graph(found: "VisibleGraph") -> dict[str, Any]:
    return {
        "focus": found.focus,
        "nodes": [
            {
                "key": node.key,
                "kind": node.kind,
                "uuid": node.uuid,
                "title": node.title,
                "url": node.url,
                "detail": node.detail,
                "is_private": node.is_private,
            }
            for node in found.nodes
        ],
        "edges": [{"source": edge.source, "target": edge.target, "relation": edge.relation} for edge in found.edges],
        "private_count": found.private_count,
        "is_cut": found.is_cut,
    }
