"""The unmodified git, with git lfs, pointed at the running site; each user with a home folder of their own."""

import subprocess
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from tests.support.site import LiveSite


class GitFailed(AssertionError):
    """git ended with an error; the text is what it said."""


@dataclass
class Git:
    """One user of the site; without a token, nobody."""

    site: LiveSite
    home: Path
    user: str = ""
    token: str = ""

    def __post_init__(self) -> None:
        self.home.mkdir(parents=True, exist_ok=True)
        (self.home / ".gitconfig").write_text(
            "[user]\n\tname = Ada Löwe\n\temail = ada@example.org\n[init]\n\tdefaultBranch = main\n[advice]\n\tdetachedHead = false\n"
            "[protocol]\n\tversion = 2\n[credential]\n\thelper =\n[gc]\n\tauto = 0\n"
        )

    def url(self, repo: str) -> str:
        """The address to clone from. `repo`: `ns/name`, or with `datasets/` or `algorithms/` before it."""
        host = urlsplit(self.site.url).netloc
        login = f"{self.user}:{self.token}@" if self.token else ""
        return f"http://{login}{host}/{repo}"

    def run(
        self, *words: object, cwd: Path | None = None, check: bool = True, text: str | None = None, **extra: str
    ) -> str:
        """What git said, on both of its outputs. Raises GitFailed."""
        environment = {
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "HOME": str(self.home),
            "LC_ALL": "C.UTF-8",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_ASKPASS": "true",
            **extra,
        }
        done = subprocess.run(
            ["git", *map(str, words)],
            cwd=cwd or self.home,
            env=environment,
            input=text,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
            check=False,
        )
        if check and done.returncode != 0:
            raise GitFailed(f"git {' '.join(map(str, words))}: {done.stdout}")
        return done.stdout.strip()

    def refused(self, *words: object, cwd: Path | None = None, **extra: str) -> str:
        """What git said when it failed, as it must here."""
        try:
            said = self.run(*words, cwd=cwd, **extra)
        except GitFailed as error:
            return str(error)
        raise AssertionError(f"git {' '.join(map(str, words))} should have failed: {said}")

    def clone(self, repo: str, *options: str, name: str = "") -> Path:
        folder = self.home / (name or f"clone-{len(list(self.home.iterdir()))}")
        self.run("clone", "-q", *options, self.url(repo), folder)
        return folder

    def commit(self, folder: Path, files: dict[str, str | bytes], message: str = "Change", **extra: str) -> str:
        """Write files, commit them; the commit's id."""
        for path, content in files.items():
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content.encode() if isinstance(content, str) else content)
        self.run("add", "-A", cwd=folder)
        self.run("commit", "-q", "-m", message, cwd=folder, **extra)
        return self.head(folder)

    def head(self, folder: Path, revision: str = "HEAD") -> str:
        return self.run("rev-parse", revision, cwd=folder)
