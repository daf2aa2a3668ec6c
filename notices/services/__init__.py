"""Telling people: a row on the site at once, a mail a moment later or in a digest, as each of them has chosen."""

from collections.abc import Iterable
from uuid import UUID

from django.conf import settings
from django.core.mail import EmailMessage
from django.db import transaction

from accounts.actors import Actor
from accounts.directory import people_of
from common.clock import now
from common.errors import NotFound, Unavailable
from notices.models import Notice
from notices.preferences import deliveries_of
from notices.services.unsubscribing import unsubscribe_headers
from notices.topics import DIGESTS, TOPICS, Delivery, Topic, topic_of
from work.door import enqueue


def notify(
    namespace_id: int, kind: str, text: str, *, url: str = "", key: str | None = None, with_mail: bool = True
) -> int:
    """Tell the people behind a namespace (the person, or the organisation's owners and admins), in the caller's transaction.
    Returns to how many; who has switched the topic off is not told. With a `key` a repeated call tells nobody twice. Without `with_mail`
    it stands on the site alone."""
    return notify_users(people_of(namespace_id), kind, text, url=url, key=key, with_mail=with_mail)


def notify_users(
    user_ids: Iterable[int], kind: str, text: str, *, url: str = "", key: str | None = None, with_mail: bool = True
) -> int:
    """Tell these people. See `notify`."""
    count, people = 0, sorted(set(user_ids))
    topic = topic_of(kind)
    chosen = deliveries_of(people, topic)
    for user_id in people:
        delivery = chosen.get(user_id, TOPICS[topic].usual)
        if delivery == Delivery.OFF:
            continue
        awaits = delivery if with_mail and delivery in DIGESTS else ""
        words = {"kind": kind, "topic": topic, "text": text[:400], "url": url[:300], "awaits": awaits}
        if key is None:
            notice = Notice.objects.create(user_id=user_id, **words)
        else:
            notice, is_new = Notice.objects.get_or_create(user_id=user_id, key=key, defaults=words)
            if not is_new:
                continue
        count += 1
        if with_mail and delivery == Delivery.MAIL:
            # the notice is new, so nobody can have asked for its mail before: no key, one row
            enqueue("notices.mail_notice", notice.pk)
    return count


def mark_read(actor: Actor, uuid: UUID | None = None) -> int:
    """Mark one of the actor's notices as read, or all of them. Returns how many were unread. Raises NotFound for another's."""
    actor.require_authenticated()
    notices = Notice.objects.filter(user_id=actor.person_id)
    if uuid is not None:
        notices = notices.filter(uuid=uuid)
        if not notices.exists():
            raise NotFound("There is no such notice.")
    return notices.filter(read_at__isnull=True).update(read_at=now())


def mail_notice(notice_id: int) -> None:
    """Send a notice by mail, once: a repeated call finds `mailed_at` set. A crash between the sending and the note of it may send
    a second mail; a lost mail would be worse. Raises Unavailable, to be tried again, when the mail server does not answer."""
    notice = Notice.objects.select_related("user").filter(pk=notice_id).first()
    if notice is None or notice.mailed_at is not None or not notice.user.is_active:
        return
    body = f"{notice.text}\n\n{settings.PUBLIC_URL}{notice.url}\n" if notice.url else f"{notice.text}\n"
    subject = " ".join(notice.text.split())[:120]
    try:
        headers = unsubscribe_headers(notice.user_id, Topic(notice.topic))
        EmailMessage(subject, body, settings.DEFAULT_FROM_EMAIL, [notice.user.email], headers=headers).send()
    except OSError as error:
        raise Unavailable("The mail server does not answer.") from error
    with transaction.atomic():
        Notice.objects.filter(pk=notice.pk).update(mailed_at=now())
