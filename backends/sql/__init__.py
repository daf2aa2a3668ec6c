"""Questions in SQL to the published sample of a dataset, in an engine that can reach nothing else."""
