"""How the OpenAPI document names operations and describes errors."""

import re
from typing import Any

from drf_spectacular.openapi import AutoSchema


class Schema(AutoSchema):
    """Operations are called `area_view_method`; every one may answer with a problem."""

    def get_operation_id(self) -> str:
        area = type(self.view).__module__.split(".")[-2]
        name = re.sub(r"(?<!^)(?=[A-Z])", "_", type(self.view).__name__).lower()
        return f"{area}_{name}_{self.method.lower()}"

    def get_operation(self, *args: Any, **kwargs: Any) -> dict[str, Any] | None:
        operation = super().get_operation(*args, **kwargs)
        if operation is not None:
            operation["responses"].setdefault("default", _PROBLEM)
        return operation


def add_problem(result: dict[str, Any], generator: Any, request: Any, public: bool) -> dict[str, Any]:  # noqa: FBT001
    """Put the shape of problems, which every operation refers to, into the document."""
    text = {"type": "string"}
    result.setdefault("components", {}).setdefault("schemas", {})["Problem"] = {
        "type": "object",
        "description": "An error (RFC 9457).",
        "properties": {
            "type": text,
            "title": text,
            "status": {"type": "integer"},
            "code": {**text, "description": "What programs tell errors apart by."},
            "detail": {**text, "description": "A sentence for people."},
            "fields": {"type": "object", "additionalProperties": {}, "description": "What is wrong, by input."},
        },
        "required": ["type", "title", "status", "code", "detail", "fields"],
    }
    return result


_PROBLEM = {
    "description": "What went wrong.",
    "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
}
