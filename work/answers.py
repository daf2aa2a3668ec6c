"""What a Celery worker does when it hears a ring: claim that very row and run it."""

from django.db import close_old_connections

from work.claims import claim_one
from work.heartbeats import process_heart
from work.rings import RING, app
from work.running import owner_name, perform


@app.task(name=RING, ignore_result=True, acks_late=True)  # type: ignore[untyped-decorator]
def answer(task_id: int) -> None:
    """Harmless twice: the second ring finds the row leased or done."""
    close_old_connections()
    try:
        heart = process_heart()
        row = claim_one(task_id, owner_name(), heart.lease_s)
        if row is not None:
            perform(row, heart)
    finally:
        close_old_connections()
