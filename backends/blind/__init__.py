"""Blind evaluation: a model and a test set that belong to two parties meet in a sandbox, and only scores leave it."""
