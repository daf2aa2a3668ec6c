"""Train a model on a table: `python -m backends.programs.tabular_train` in a job folder. The work is in `tables.training`."""

from backends.programs import launching

if __name__ == "__main__":
    launching.launch("backends.programs.tables.training")
