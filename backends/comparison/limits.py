"""How much of a comparison is told; here, so that the site need not load what does the comparing."""

VALUES_SHOWN = 4_096
"""Numbers of one output that are kept."""
TENSORS_SHOWN = 300
"""Tensors described one by one, those that differ most first."""
