"""The text index of the listings: FTS5 on SQLite, a generated tsvector with GIN on PostgreSQL. Words come normalised, so neither
engine's own ideas of language take part."""

from typing import Any

from django.db import migrations

_REMOVE = (
    "INSERT INTO market_listingtext(market_listingtext, rowid, title, summary, body)"
    " VALUES ('delete', OLD.listing_id, OLD.title, OLD.summary, OLD.body);"
)
_ADD = (
    "INSERT INTO market_listingtext(rowid, title, summary, body)"
    " VALUES (NEW.listing_id, NEW.title, NEW.summary, NEW.body);"
)
# only when a word changed: counting a sale must not index the text again
_REWORDED = "OLD.title <> NEW.title OR OLD.summary <> NEW.summary OR OLD.body <> NEW.body"
_ON = "ON market_listingdocument"
_SQLITE = [
    """CREATE VIRTUAL TABLE market_listingtext USING fts5(title, summary, body, content='market_listingdocument',
        content_rowid='listing_id', tokenize='unicode61 remove_diacritics 0', prefix='2 3')""",
    f"CREATE TRIGGER market_listingtext_insert AFTER INSERT {_ON} BEGIN {_ADD} END",
    f"CREATE TRIGGER market_listingtext_delete AFTER DELETE {_ON} BEGIN {_REMOVE} END",
    f"CREATE TRIGGER market_listingtext_update AFTER UPDATE {_ON} WHEN {_REWORDED} BEGIN {_REMOVE} {_ADD} END",
]
_POSTGRES = [
    """ALTER TABLE market_listingdocument ADD COLUMN words tsvector GENERATED ALWAYS AS (
        setweight(to_tsvector('simple', title), 'A') || setweight(to_tsvector('simple', summary), 'B')
        || setweight(to_tsvector('simple', body), 'C')) STORED""",
    "CREATE INDEX market_listingdocument_words ON market_listingdocument USING gin (words)",
]


def forwards(apps: Any, schema_editor: Any) -> None:
    for statement in _SQLITE if schema_editor.connection.vendor == "sqlite" else _POSTGRES:
        schema_editor.execute(statement)


def backwards(apps: Any, schema_editor: Any) -> None:
    if schema_editor.connection.vendor == "sqlite":
        for deed in ("insert", "delete", "update"):
            schema_editor.execute(f"DROP TRIGGER market_listingtext_{deed}")
        schema_editor.execute("DROP TABLE market_listingtext")
    else:
        schema_editor.execute("ALTER TABLE market_listingdocument DROP COLUMN words")


class Migration(migrations.Migration):
    dependencies = [("market", "0002_ledger")]

    operations = [migrations.RunPython(forwards, backwards)]
