"""The demonstration on a real site: data to job to version to endpoint to sale to call to money, taken up again after a kill."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.site import ROOT, LiveSite, started_site

# What the database of the site holds, as JSON.
LOOK = """
import json
from compute.models import Endpoint, Job
from lineage.models import Edge
from market.models import Account, Entitlement, Listing, Order
from market.services.ledger import verify_ledger
from metering.models import UsageRecord
from accounts.models import Token, User
from registry.models import Version
from registry.queries import verdict_of

def accounts(kind):
    return sorted(Account.objects.filter(kind=kind, namespace__isnull=False, reference='')
                  .values_list('namespace__name', 'balance_minor'))

usage = {}
for record in UsageRecord.objects.filter(meter='inference_calls'):
    name = Endpoint.objects.get(uuid=record.subject).name
    usage[name] = usage.get(name, 0) + record.quantity
print(json.dumps({
    'users': sorted(User.objects.values_list('username', flat=True)),
    'tokens': Token.objects.count(),
    'versions': sorted(f'{v.repo.kind} {v.repo.name}@{v.name} {verdict_of(v)}' for v in Version.objects.all()),
    'accuracy': {f'{v.repo.name}@{v.name}': v.metrics['accuracy']['value']
                 for v in Version.objects.filter(repo__kind='model')},
    'jobs': sorted(f'{job.recipe} {job.state}' for job in Job.objects.all()),
    'endpoints': sorted(f'{e.name} {e.state}' for e in Endpoint.objects.all()),
    'listings': sorted(f'{l.slug} {l.state} {p.kind}' for l in Listing.objects.all() for p in l.plans.all()),
    'orders': sorted(f'{o.listing.slug} {o.state} {o.total_minor}' for o in Order.objects.all()),
    'settled': sorted(f'{e.listing.slug} {e.settled_units}' for e in Entitlement.objects.filter(held_minor__gt=0)),
    'usage': usage,
    'wallets': accounts('wallet'),
    'earnings': accounts('earnings'),
    'ledger': list(map(str, verify_ledger().faults)),
    'edges': sorted({f'{e.source.kind} {e.relation} {e.target.kind}'
                     for e in Edge.objects.select_related('source', 'target')}),
}))
"""

EDGES = [
    "endpoint listed listing",
    "job output version",
    "listing sold order",
    "version deployed endpoint",
    "version input job",
    "version listed listing",
    "version next_version version",
]


@pytest.fixture
def site(tmp_path: Path, django_db_setup) -> Iterator[LiveSite]:
    with started_site(tmp_path / "site", "--parts", "worker,scheduler,inference") as site:
        yield site


def started(site: LiveSite) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "manage.py", "demo"],
        cwd=ROOT,
        env=site.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def killed_at(site: LiveSite, line_start: str) -> None:
    with started(site) as process:
        lines = []
        for line in process.stdout or ():
            lines.append(line)
            if line.startswith(line_start):
                process.send_signal(signal.SIGKILL)
                break
    assert lines[-1].startswith(line_start), "".join(lines)


def finished(site: LiveSite) -> str:
    with started(site) as process:
        output, _ = process.communicate(timeout=400)
    assert process.returncode == 0, output + "\n".join(site.log(part)[-3000:] for part in ("worker", "inference"))
    return output


def look(site: LiveSite) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "manage.py", "shell", "--no-imports", "-c", LOOK],
        cwd=ROOT,
        env=site.environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_demonstration_survives_kills_leaves_one_of_everything_and_told_again_changes_nothing(site: LiveSite):
    killed_at(site, "Training ")
    killed_at(site, "Putting data")
    output = finished(site)
    assert "dana  password " in output
    assert "bruno  password " in output

    found = look(site)
    assert found["users"] == ["bruno", "dana"]
    assert found["tokens"] == 1
    assert found["versions"] == [
        "dataset breast-cancer-wisconsin@v1 data-only",
        "dataset handwritten-digits@v1 data-only",
        "dataset wine-recognition@v1 data-only",
        "model cell-classifier@v1 data-only",
        "model digit-reader@v1 data-only",
        "model digit-reader@v1-int8 data-only",
        "model wine-classifier@v1 data-only",
    ]
    assert found["accuracy"]["digit-reader@v1"] >= 0.97
    assert abs(found["accuracy"]["digit-reader@v1-int8"] - found["accuracy"]["digit-reader@v1"]) <= 0.02
    assert found["accuracy"]["cell-classifier@v1"] >= 0.93
    assert found["accuracy"]["wine-classifier@v1"] >= 0.94
    assert found["jobs"] == [
        "evaluate succeeded",
        "image-train succeeded",
        "quantize-int8 succeeded",
        "tabular-train succeeded",
        "tabular-train succeeded",
    ]
    assert found["endpoints"] == ["cell-classifier ready", "digit-reader ready", "wine-classifier ready"]
    assert found["listings"] == [
        "api-cell-classifier published pay_per_use",
        "api-digit-reader published pay_per_use",
        "api-wine-classifier published free",
        "data-breast-cancer-wisconsin published free",
        "data-handwritten-digits published free",
        "data-wine-recognition published free",
        "model-digit-reader published one_time",
    ]
    assert found["orders"] == [
        "api-cell-classifier fulfilled 1000",
        "api-digit-reader fulfilled 500",
        "api-wine-classifier fulfilled 0",
        "data-handwritten-digits fulfilled 0",
        "model-digit-reader fulfilled 2500",
    ]
    assert found["usage"] == {"cell-classifier": 120, "digit-reader": 240, "wine-classifier": 60}
    assert found["settled"] == ["api-cell-classifier 120", "api-digit-reader 240"]
    # 250.00 given, 40.00 spent; 25.00 + 1.20 + 2.40 sold, of which the platform keeps a tenth.
    assert found["wallets"] == [["blue-harbour", 210_00]]
    assert found["earnings"] == [["open-data-lab", 25_74]]
    assert found["ledger"] == []

    assert found["edges"] == EDGES

    finished(site)
    assert look(site) == found
    assert (Path(site.data) / "demo.json").stat().st_mode & 0o777 == 0o600
