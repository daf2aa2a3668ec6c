"""Secrets that were published by mistake. What is found is never repeated: a report is read by more people than a file."""

import re
from collections.abc import Iterable

from backends.contracts.scanners import Content, Finding, Scanner, Verdict

_BLOCK = 1024**2
_OVERLAP = 8192
_MOST = 20
_KINDS: tuple[tuple[str, str], ...] = (
    ("private key", r"-----BEGIN (?:RSA |EC |DSA |OPENSSH |PGP |ENCRYPTED )?PRIVATE KEY(?: BLOCK)?-----"),
    ("key of Amazon Web Services", r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"),
    ("secret of Amazon Web Services", r"(?i:aws_secret_access_key|aws_secret_key)[\"']?\s{0,5}[=:]\s{0,5}[\"']?[A-Za-z0-9/+=]{40}\b"),
    ("token of GitHub", r"\b(?:gh[pousr]_[A-Za-z0-9]{36,255}|github_pat_[A-Za-z0-9_]{60,255})\b"),
    ("token of GitLab", r"\bglpat-[A-Za-z0-9_-]{20,64}\b"),
    ("token of Hugging Face", r"\bhf_[A-Za-z0-9]{30,64}\b"),
    ("token of this site", r"\bmto_[0-9A-Za-z]{38}\b"),
    ("token of Slack", r"\bxox[abeoprs]-[0-9A-Za-z-]{10,200}\b"),
    ("webhook of Slack", r"https://hooks\.slack\.com/services/T[A-Z0-9]{6,}/B[A-Z0-9]{6,}/[A-Za-z0-9]{20,}"),
    ("webhook of Discord", r"https://(?:ptb\.|canary\.)?discord(?:app)?\.com/api/webhooks/[0-9]{15,20}/[A-Za-z0-9_-]{60,}"),
    ("key of Google", r"\bAIza[0-9A-Za-z_-]{35}\b"),
    ("token of Google", r"\bya29\.[0-9A-Za-z_-]{30,}"),
    ("key of Stripe", r"\b(?:sk|rk)_live_[0-9A-Za-z]{20,247}\b"),
    ("key of OpenAI", r"\bsk-(?:proj-|svcacct-)?[A-Za-z0-9_-]{20,}T3BlbkFJ[A-Za-z0-9_-]{20,}\b"),
    ("key of a model provider", r"\bsk-ant-(?:api|admin)[0-9]{2}-[A-Za-z0-9_-]{80,}"),
    ("token of npm", r"\bnpm_[A-Za-z0-9]{36}\b"),
    ("token of PyPI", r"\bpypi-AgE[A-Za-z0-9_-]{60,}"),
    ("key of SendGrid", r"\bSG\.[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43}\b"),
    ("key of Twilio", r"\bSK[0-9a-f]{32}\b"),
    ("token of DigitalOcean", r"\bdo[opr]_v1_[0-9a-f]{64}\b"),
    ("key of Azure storage", r"\bAccountKey=[A-Za-z0-9+/]{80,}={0,2}"),
    ("token of Telegram", r"\b[0-9]{8,10}:AA[0-9A-Za-z_-]{33}\b"),
    ("key of Mailgun", r"\bkey-[0-9a-f]{32}\b"),
    ("token of Databricks", r"\bdapi[0-9a-f]{32}\b"),
    ("password in an address", r"\b(?:postgres(?:ql)?|mysql|mongodb(?:\+srv)?|redis|amqps?)://[^\s:/@\"'<>{}$]{1,64}:(?!(?:password|pass|secret|changeme|xxx+|\*+|user)@)[^\s:/@\"'<>{}$]{6,128}@[A-Za-z0-9.-]+"),
)  # fmt: skip
_ANY = re.compile("|".join(f"(?P<k{number}>{pattern})" for number, (_, pattern) in enumerate(_KINDS)).encode())


class SecretScanner(Scanner):
    """Keys and tokens in text, by the forms that their makers gave them. Flagged, with the line and the kind."""

    name = "secrets"
    rules_version = "1"

    def look(self, content: Content) -> Iterable[Finding]:
        if content.format != "text":
            return
        count = line = 0
        at = 0
        while at < content.size and count < _MOST:
            block = bytes(content.data[at : at + _BLOCK + _OVERLAP])
            for found in _ANY.finditer(block):
                if found.start() >= _BLOCK:
                    break
                kind = _KINDS[int((found.lastgroup or "k0")[1:])][0]
                if _is_example(found.group()):
                    continue
                place = f"line {line + block.count(bytes([10]), 0, found.start()) + 1}"
                yield Finding(
                    "secrets.secret",
                    Verdict.FLAGGED,
                    f"It holds what looks like a {kind}: revoke it, then take it out.",
                    place,
                )
                count += 1
            line += block.count(b"\n", 0, _BLOCK)
            at += _BLOCK


def _is_example(secret: bytes) -> bool:
    """What documentation writes in place of a secret: `AKIAIOSFODNN7EXAMPLE`, or one letter again and again."""
    return b"EXAMPLE" in secret or (len(set(secret[-16:].lower())) <= 3 and not secret.endswith(b"-"))
