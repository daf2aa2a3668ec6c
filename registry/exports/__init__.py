"""The open layout in which repositories leave a site and come to another: docs/moves.md."""
