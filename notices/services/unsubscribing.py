"""The link in every mail by which its reader ends such mails (RFC 8058): signed, without an end, without signing in."""

from django.conf import settings
from django.core import signing

from common.errors import Gone
from notices.topics import DIGESTS, Delivery, Topic

_SALT = "notices.unsubscribe"


def unsubscribe_url(user_id: int, about: Topic | Delivery) -> str:
    """The address that ends mails `about` a topic, or a digest, for this person."""
    return f"{settings.PUBLIC_URL}/notices/unsubscribe/{signing.dumps([user_id, str(about)], salt=_SALT)}"


def unsubscribe_headers(user_id: int, about: Topic | Delivery) -> dict[str, str]:
    """What mail programs make a button of: one POST, and nothing else to do."""
    return {
        "List-Unsubscribe": f"<{unsubscribe_url(user_id, about)}>",
        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
    }


def read_token(token: str) -> tuple[int, str]:
    """Whose mails about what: the value of a topic or a digest. Raises Gone for a token that is not ours."""
    try:
        user_id, about = signing.loads(token, salt=_SALT)
    except (signing.BadSignature, ValueError, TypeError) as error:
        raise Gone("This link is not valid. Choose your mails on the page of your notices.") from error
    if about not in {*DIGESTS, *Topic}:
        raise Gone("This link is not valid any more. Choose your mails on the page of your notices.")
    return int(user_id), str(about)
