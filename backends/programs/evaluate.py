"""Measure a model on a dataset: `python -m backends.programs.evaluate` in a job folder. The work is in `models.evaluating`."""

from backends.programs import launching

if __name__ == "__main__":
    launching.launch("backends.programs.models.evaluating")
