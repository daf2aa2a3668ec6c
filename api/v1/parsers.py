"""Reading bodies. Apart from the views, because the framework imports it first."""

from typing import Any

from rest_framework.parsers import BaseParser

from common import strict_json

BODY_LIMIT = 2 * 1024**2


class StrictJSONParser(BaseParser):
    """JSON that a database and a reply can hold, or a clear 400."""

    media_type = "application/json"

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Any = None) -> Any:
        return strict_json.loads(stream.read(BODY_LIMIT + 1), max_bytes=BODY_LIMIT)
