"""Versions side by side as data: rows with a value for each version, which way is better, who is best and worst, how far each is
from the base, and what tests on the same rows say. Pages, files and the API show the same rows.

The caller has checked the right to discover every version. What takes a sandbox is shown when it has been found out
(`services.studies`); nothing here waits for it."""
