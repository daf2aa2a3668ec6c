"""A program of its own beside real workers: `python -m tests.compute.driver submit N` and `… report`, on the data folder of the environment."""

import json
import os
import sys

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings.dev")  # noqa: TID251  a program beside the product
django.setup()

from compute.models import Job  # noqa: E402  models need Django to be set up
from lineage.models import Edge  # noqa: E402
from metering.models import UsageRecord  # noqa: E402
from registry.models import Commit, Version  # noqa: E402
from tests.factories.jobs import make_dataset, make_person, submit_training  # noqa: E402
from work.models import Task  # noqa: E402


def submit(count: int) -> dict:
    ada = make_person("ada")
    dataset = make_dataset(ada)
    parameters = {"target": "label", "learner": "linear"}
    targets = [{"kind": "model", "name": f"model-{number}"} for number in range(count)]
    submitted = [submit_training(ada, dataset, target=target, parameters=parameters) for target in targets]
    return {"jobs": [str(job.uuid) for job in submitted]}


def report() -> dict:
    """What the database says of every job."""
    return {
        "unfinished_tasks": list(
            Task.objects.exclude(state="done")
            .exclude(name__in=["registry.scan_version", "registry.scan_repo"])
            .values_list("name", "state", "error")
        ),
        "jobs": {
            str(job.uuid): {
                "state": job.state,
                "problem": job.problem,
                "events": [event.text for event in job.events.order_by("pk")],
                "attempts": list(job.attempts.order_by("number").values_list("outcome", flat=True)),
                "attempt_uuids": [str(attempt.uuid) for attempt in job.attempts.all()],
                "versions": Version.objects.filter(repo=job.target).count(),
                "commits": Commit.objects.filter(repo=job.target).count(),
                "usage": list(UsageRecord.objects.filter(subject=job.uuid).values_list("quantity", flat=True)),
                "edges": Edge.objects.filter(run=job.uuid).count(),
                "has_metrics": bool(job.version and job.version.metrics.get("accuracy")),
            }
            for job in Job.objects.all()
        },
    }


if __name__ == "__main__":
    answer = submit(int(sys.argv[2])) if sys.argv[1] == "submit" else report()
    sys.stdout.write(json.dumps(answer))
