"""Programs that take a finished model: a smaller build of it, a report about it."""
