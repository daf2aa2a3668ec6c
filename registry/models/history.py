"""History: commits, the trees they name, the refs that name them. Commit and tree ids are those git computes.

A directory is a Tree, cut into pages of some hundred entries at places that depend on the names alone. A commit that changes
one file writes one page, one Tree per directory above it and one Commit, however large the rest is; all other pages are shared
by primary key."""

from django.db import models

from common.clock import now
from common.ids import random_bits
from registry.models.repos import Repo


def new_commit_id() -> int:
    """A key known before the row is written, because the entries of the tree name the commit that last touched them:
    41 bits of milliseconds, 22 random."""
    return int(now().timestamp() * 1000) << 22 | random_bits(22)


class TreePage(models.Model):
    """Neighbouring entries of one directory. `raw` are their bytes as git orders and hashes them (`mode name NUL sha1`);
    `extra` holds, compressed, what git does not know (see registry/trees.py)."""

    raw = models.BinaryField()
    extra = models.BinaryField()
    entry_count = models.PositiveIntegerField()
    file_count = models.BigIntegerField()
    """Files in this page and in all directories below it."""
    total_bytes = models.BigIntegerField()

    def __str__(self) -> str:
        return f"page {self.pk} of {self.entry_count}"


class Tree(models.Model):
    """One directory at one moment. `pages` lists `[first name, primary key]` of its pages in git's order."""

    oid = models.CharField(max_length=40, db_index=True)
    pages = models.JSONField()
    entry_count = models.PositiveIntegerField()
    file_count = models.BigIntegerField()
    total_bytes = models.BigIntegerField()

    def __str__(self) -> str:
        return self.oid[:12]


class Commit(models.Model):
    """A state of the whole repository; append-only."""

    id = models.BigIntegerField(primary_key=True, default=new_commit_id)
    oid = models.CharField(max_length=40)
    repo = models.ForeignKey(Repo, on_delete=models.CASCADE, related_name="commits")
    tree = models.ForeignKey(Tree, on_delete=models.PROTECT)
    parents = models.JSONField(default=list)
    """Ids (hex) of all parents, in git's order."""
    first_parent = models.ForeignKey("self", null=True, on_delete=models.PROTECT, related_name="+")
    depth = models.PositiveIntegerField()
    """Length of the chain of first parents."""
    summary = models.CharField(max_length=300)
    description = models.TextField(blank=True)
    author = models.ForeignKey("accounts.User", null=True, on_delete=models.SET_NULL, related_name="+")
    author_name = models.CharField(max_length=150)
    raw = models.BinaryField()
    """The commit object as git hashes it, without the header."""
    created_at = models.DateTimeField(default=now)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["repo", "oid"], name="commit_oid")]
        indexes = [models.Index(fields=["oid"], name="commit_by_oid")]

    def __str__(self) -> str:
        return self.oid[:12]


class Branch(models.Model):
    """A name that moves with each commit made on it."""

    repo = models.ForeignKey(Repo, on_delete=models.CASCADE, related_name="branches")
    name = models.CharField(max_length=200)
    head = models.ForeignKey(Commit, on_delete=models.PROTECT, related_name="+")
    updated_at = models.DateTimeField(default=now)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["repo", "name"], name="branch_name")]

    def __str__(self) -> str:
        return self.name


class Tag(models.Model):
    """A name that stays where it was put. Of an annotated tag that came by git, `oid` and `raw` are the id and the bytes of
    its object; other tags have none, and git sees the commit under their name."""

    repo = models.ForeignKey(Repo, on_delete=models.CASCADE, related_name="tags")
    name = models.CharField(max_length=200)
    commit = models.ForeignKey(Commit, on_delete=models.PROTECT, related_name="+")
    message = models.TextField(blank=True)
    oid = models.CharField(max_length=40, blank=True)
    raw = models.BinaryField(default=bytes, blank=True)
    created_at = models.DateTimeField(default=now)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["repo", "name"], name="tag_name")]

    def __str__(self) -> str:
        return self.name
