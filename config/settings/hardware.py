"""The operator's price list of machines, which the reckoning of costs uses."""

import json
from typing import Any

from django.core.exceptions import ImproperlyConfigured

from common.money import EXPONENTS

DEFAULT: list[dict[str, Any]] = [
    {"name": "One core of this site", "currency": "CRD", "hour_minor": 4, "memory_gb": 4, "is_site": True},
    {"name": "NVIDIA T4", "currency": "CRD", "hour_minor": 55, "memory_gb": 16},
    {"name": "NVIDIA A10G", "currency": "CRD", "hour_minor": 110, "memory_gb": 24},
    {"name": "NVIDIA H200", "currency": "CRD", "hour_minor": 450, "memory_gb": 141},
]
"""Round figures to begin with; the page says that they are the software's until an operator sets others."""


def hardware_prices(text: str) -> list[dict[str, Any]]:
    """`HARDWARE_PRICES`, or the default where it is empty. Raises ImproperlyConfigured with what is wrong."""
    if not text:
        return DEFAULT
    try:
        found = json.loads(text)
    except ValueError as error:
        raise ImproperlyConfigured("HARDWARE_PRICES must be JSON: a list of machines") from error
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise ImproperlyConfigured("HARDWARE_PRICES must be a list of objects")
    for each in found:
        name, memory = each.get("name"), each.get("memory_gb", 0)
        if not isinstance(name, str) or not 0 < len(name) <= 120:
            raise ImproperlyConfigured("each machine of HARDWARE_PRICES needs a name of 1 to 120 characters")
        if each.get("currency") not in EXPONENTS:
            raise ImproperlyConfigured(f"{name} in HARDWARE_PRICES needs a currency, such as EUR")
        if type(each.get("hour_minor")) is not int or each["hour_minor"] < 0:
            raise ImproperlyConfigured(f"hour_minor of {name} in HARDWARE_PRICES is a whole number of minor units")
        if not isinstance(memory, int | float) or isinstance(memory, bool) or memory < 0:
            raise ImproperlyConfigured(f"memory_gb of {name} in HARDWARE_PRICES is a number")
    return found
