"""How much a question may take, for the site, for the program and for those who are told."""

QUERY_CHARACTERS = 4000
TIME_S = 10
"""Of the query itself; the engine stops it."""
WALL_S = 20
"""Of the program; the sandbox kills it, where a single function does not let itself be stopped."""
MEMORY_MB = 256
"""Of the engine; it spills nothing to disk."""
PROCESS_MB = 1024
ROWS = 1000
COLUMNS = 100
CELL_CHARACTERS = 500
ANSWER_CHARACTERS = 2_000_000
