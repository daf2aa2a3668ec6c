"""Choosing how one is told."""

from collections.abc import Mapping

from django.db import transaction

from accounts.actors import Actor, system
from accounts.directory import names_of
from accounts.permissions import Scope
from accounts.services import audit
from common.errors import Forbidden, Gone, Invalid
from notices.models import DigestTime, Notice, NoticePreference
from notices.preferences import digest_time_of, preferences_of
from notices.services.unsubscribing import read_token
from notices.topics import DIGESTS, TOPICS, Delivery, Topic


def set_preferences(
    actor: Actor, topics: Mapping[str, str], *, hour: int | None = None, weekday: int | None = None
) -> None:
    """Choose for some `topics` how one hears of them (`Delivery`), and when digests come: `hour` 0 to 23, `weekday` 0 Monday to 6, in the
    time zone of one's account. What waits for a digest goes by the new choice. Writes preferences and audit; the same again changes
    nothing. Raises Invalid per field: topics of money and security can't be switched off."""
    actor.require_authenticated()
    actor.require_scope(Scope.ACCOUNT_MANAGE)
    if actor.user_id is None:
        raise Forbidden("Only a person has notices.")
    wanted = _checked(topics)
    present, time = preferences_of(actor.user_id), digest_time_of(actor.user_id)
    new_time = (_within(hour, 23, "hour", time[0]), _within(weekday, 6, "weekday", time[1]))
    changed = {topic: delivery for topic, delivery in wanted.items() if present[topic] != delivery}
    if not changed and new_time == time:
        return
    with transaction.atomic():
        _choose(actor.user_id, changed)
        if new_time != time:
            DigestTime.objects.update_or_create(
                user_id=actor.user_id, defaults={"hour": new_time[0], "weekday": new_time[1]}
            )
        said = {str(topic): str(delivery) for topic, delivery in changed.items()}
        audit.record(
            actor, "notices:preferences:changed", "user", actor.user_uuid, namespace_id=actor.namespace_id, topics=said
        )


def unsubscribe(token: str) -> str:
    """Send no more of the mails that carried this link: of a topic, or of a digest. Everything still stands on the site. Needs no
    sign-in: whoever has the link has the mail. Returns what was ended in words; a second call changes nothing. Raises Gone for a link
    that is not ours."""
    user_id, about = read_token(token)
    if user_id not in names_of([user_id]):
        raise Gone("This link is not valid any more.")
    present = preferences_of(user_id)
    if about in DIGESTS:
        ended = {topic: Delivery.SITE for topic, delivery in present.items() if delivery == about}
        words = f"the {about} digest"
    else:
        topic = Topic(about)
        ended = {topic: Delivery.SITE} if present[topic] not in {Delivery.SITE, Delivery.OFF} else {}
        words = f"mails about “{TOPICS[topic].title}”"
    if ended:
        with transaction.atomic():
            _choose(user_id, ended)
            audit.record(
                system("unsubscribe link"), "notices:preferences:changed", "user", user_id,
                topics={str(topic): str(Delivery.SITE) for topic in ended},
            )  # fmt: skip
    return words


def _choose(user_id: int, chosen: Mapping[Topic, Delivery]) -> None:
    for topic, delivery in chosen.items():
        NoticePreference.objects.update_or_create(user_id=user_id, topic=topic, defaults={"delivery": delivery})
        waiting = Notice.objects.filter(user_id=user_id, topic=topic, digest__isnull=True).exclude(awaits="")
        waiting.update(awaits=delivery if delivery in DIGESTS else "")


def _checked(topics: Mapping[str, str]) -> dict[Topic, Delivery]:
    wrong = {}
    for name, delivery in topics.items():
        if name not in list(Topic):
            wrong[name] = "unknown"
        elif delivery not in list(Delivery):
            wrong[name] = f"one of {', '.join(Delivery)}"
        elif delivery == Delivery.OFF and not TOPICS[Topic(name)].can_be_off:
            wrong[name] = "can't be switched off: choose site, and no mail comes"
    if wrong:
        said = "; ".join(f"{name}: {text}" for name, text in wrong.items())
        raise Invalid(f"Some choices are not possible. {said}.", fields=wrong)
    return {Topic(name): Delivery(delivery) for name, delivery in topics.items()}


def _within(value: int | None, most: int, name: str, present: int) -> int:
    if value is None:
        return present
    if type(value) is not int or not 0 <= value <= most:
        raise Invalid(f"{name} is a number from 0 to {most}.", fields={name: f"0 to {most}"})
    return value
