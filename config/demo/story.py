"""The demonstration, step by step. Every step is keyed by what it makes: a second run finds it and goes on where the first stopped."""

import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

from django.conf import settings

from accounts import actors
from accounts.models import Namespace
from accounts.permissions import Action
from common.errors import Conflict, NotFound, Unavailable
from common.money import CREDIT, Money
from compute.endpoint_policies import require_endpoint
from compute.endpoint_states import SERVING, EndpointState, EndpointVisibility
from compute.models import Endpoint, Job
from compute.queries import job_progress
from compute.services import endpoints, jobs
from compute.states import ENDED, JobState
from config.demo import data
from config.demo.accounts import BUYER, SELLER, Memory, enter, token_of
from config.demo.calls import Caller
from config.demo.offers import MODELS, Model, questions_for
from config.demo.storing import operations_of
from market.models import Listing, Plan
from market.order_terms import terms_for
from market.policies import require_listing
from market.queries import balances
from market.ready_queries import facts_of
from market.services import billing, listings, orders, trials, wallet
from market.states import PlanKind, SubjectKind
from metering.meters import Meter
from metering.queries import usage_total
from registry.errors import RepoNotFound
from registry.models import Repo, Version
from registry.policies import require_repo
from registry.queries import version_named, versions_of
from registry.services import commits, repos, studies, versions
from registry.states import Gate, RepoKind, Visibility

CREDITS_MINOR = 250_00
SUPPORT = "help@example.org"
TRIAL_CALLS = 10
_PATIENCE_S = 600
_POLL_S = 0.3

SMALL = "v1-int8"
"""Name of the 8-bit version."""


class Story:
    """Told to a person by `say`, a line at a time."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self.say = say
        self.memory = Memory()

    def tell(self) -> None:
        """The whole demonstration. Raises Unavailable when the worker or the inference process does not answer, and whatever
        the services raise; run again, it goes on from there."""
        self.say("Accounts and organisations")
        self.seller, self.buyer = enter(SELLER, self.memory), enter(BUYER, self.memory)
        sources = self._publish_data()
        trained = self._train(sources)
        small = self._compress(trained, sources)
        self._evaluate(small, sources)
        self._open_models()
        served = self._deploy(trained)
        self._sell(served)
        self._measure(trained, small)
        self._buy(served)
        self._call(served, trained)
        self._bill(served)

    def _publish_data(self) -> dict[str, Version]:
        """One dataset repository per data set, each with one version."""
        found = {}
        for source in data.SETS:
            repo = self._repo(RepoKind.DATASET, source.name, source.description)
            if not versions_of(repo).filter(name="v1").exists():
                self.say(f"Publishing the data set {source.name}")
                with tempfile.TemporaryDirectory(prefix="mercato-demo-") as folder:
                    source.write(Path(folder))
                    (Path(folder) / "README.md").write_text(source.card)
                    operations = operations_of(repo, Path(folder))
                    commit = commits.create_commit(
                        self.seller, repo, repo.default_branch, operations, summary=f"{source.name} from scikit-learn"
                    )
                versions.publish_version(
                    self.seller, repo, commit.oid, name="v1", notes=source.description, key=f"demo:{source.name}:v1"
                )
            found[source.name] = version_named(repo, "v1")
        return found

    def _train(self, sources: dict[str, Version]) -> dict[str, Version]:
        """One job per model, all at once; the versions they published."""
        running = [
            jobs.submit(
                self.seller,
                namespace=SELLER.organization,
                recipe=model.recipe,
                parameters=model.parameters,
                inputs={"data": sources[model.dataset].uuid},
                target={"kind": RepoKind.MODEL, "name": model.name},
                version_name="v1",
                key=f"demo:{model.name}:v1",
            )
            for model in MODELS
        ]
        self._finish(running, f"Training {', '.join(model.name for model in MODELS)}")
        return {model.name: self._version(model.name, "v1") for model in MODELS}

    def _compress(self, trained: dict[str, Version], sources: dict[str, Version]) -> Version:
        """The int8 version of the digits model, compared with the first by the same job."""
        model = MODELS[0]
        job = jobs.submit(
            self.seller,
            namespace=SELLER.organization,
            recipe="quantize-int8",
            parameters={"title": f"{model.title}, int8", "license": "cc-by-4.0"},
            inputs={"model": trained[model.name].uuid, "data": sources[model.dataset].uuid},
            target={"kind": RepoKind.MODEL, "name": model.name},
            version_name=SMALL,
            key=f"demo:{model.name}:{SMALL}",
        )
        self._finish([job], f"Making the int8 version of {model.name} and comparing the two")
        return self._version(model.name, SMALL)

    def _evaluate(self, small: Version, sources: dict[str, Version]) -> None:
        """A report on the int8 version, as anybody can ask for one."""
        job = jobs.submit(
            self.seller,
            namespace=SELLER.organization,
            recipe="evaluate",
            parameters={},
            inputs={"model": small.uuid, "data": sources[MODELS[0].dataset].uuid},
            key="demo:evaluate-int8",
        )
        self._finish([job], "Evaluating the int8 version")

    def _open_models(self) -> None:
        """Everybody may see the models. The bytes of the digits model are for sale, those of the others free."""
        for model in MODELS:
            repo = self._repo(RepoKind.MODEL, model.name, model.summary)
            gate = Gate.MANUAL if model is MODELS[0] else Gate.OPEN
            repos.update_settings(self.seller, repo, visibility=Visibility.PUBLIC, gate=gate, description=model.summary)

    def _deploy(self, trained: dict[str, Version]) -> dict[str, Endpoint]:
        """One endpoint per model, answering calls."""
        with Caller(settings.INFERENCE_URL, "") as probe:
            self._wait(probe.is_up, f"The inference process does not answer at {settings.INFERENCE_URL}.")
        for model in MODELS:
            try:
                self._endpoint(model)
            except NotFound:
                self.say(f"Deploying {model.name}")
                endpoints.deploy(
                    self.seller,
                    namespace=SELLER.organization,
                    name=model.name,
                    version_uuid=trained[model.name].uuid,
                    visibility=EndpointVisibility.PUBLIC,
                )
        for model in MODELS:
            self._wait(partial(self._is_serving, model), f"The endpoint {model.name} was not loaded.")
        return {model.name: self._endpoint(model) for model in MODELS}

    def _sell(self, served: dict[str, Endpoint]) -> None:
        """Data sets for nothing, the digits model for one payment, its calls and those of the others by their plans."""
        self.say("Putting data, models and endpoints into the shop")
        for source in data.SETS:
            repo = self._repo(RepoKind.DATASET, source.name, source.description)
            self._list(
                SubjectKind.DATASET, repo.uuid, f"data-{source.name}", source.name.replace("-", " ").capitalize(),
                {"summary": source.description, "category": "Data", "licence": "cc-by-4.0", "tags": ["demo"]},
                {"kind": PlanKind.FREE},
            )  # fmt: skip
        reader = MODELS[0]
        repo = self._repo(RepoKind.MODEL, reader.name, reader.summary)
        self._list(
            SubjectKind.MODEL, repo.uuid, f"model-{reader.name}", f"{reader.title}: the model",
            {
                "summary": f"{reader.summary} Download it, as float32 and as int8.", "category": "Models",
                "task": reader.task, "licence": "cc-by-4.0", "tags": reader.tags,
            },
            {"kind": PlanKind.ONE_TIME, "price_minor": 25_00},
        )  # fmt: skip
        for model in MODELS:
            self._list(
                SubjectKind.ENDPOINT, served[model.name].uuid, f"api-{model.name}", f"{model.title}: calls",
                {
                    "summary": model.summary, "category": "Endpoints", "task": model.task,
                    "licence": "cc-by-4.0", "tags": model.tags,
                },
                model.plan,
            )  # fmt: skip
            listing = require_listing(self.seller, SELLER.organization, f"api-{model.name}")
            trials.set_trial_calls(self.seller, listing, TRIAL_CALLS)

    def _measure(self, trained: dict[str, Version], small: Version) -> None:
        """How quick the models are on this machine, which the cost pages reckon with. A worker finds out meanwhile."""
        for version in (*trained.values(), small):
            studies.ask_speed(self.seller, version)

    def _buy(self, served: dict[str, Endpoint]) -> None:
        """Credits for the second organisation, which buys calls of each endpoint, the digits model and a data set."""
        self.say(f"{BUYER.display_name} buys with credits")
        namespace = Namespace.objects.get(name=BUYER.organization)
        wallet.add_credits(actors.system("demo"), namespace, CREDITS_MINOR, CREDIT, key="demo")
        wanted = {f"api-{model.name}": model.packs for model in MODELS}
        wanted |= {f"model-{MODELS[0].name}": 1, f"data-{data.SETS[0].name}": 1}
        for slug, packs in wanted.items():
            listing = require_listing(self.buyer, SELLER.organization, slug)
            plan = _plan_of(listing)
            orders.place_order(
                self.buyer,
                buyer_namespace=BUYER.organization,
                plan_uuid=plan.uuid,
                accept_terms=terms_for(plan).digest,
                quantity=packs,
                key=f"demo:{slug}",
            )

    def _call(self, served: dict[str, Endpoint], trained: dict[str, Version]) -> None:
        """A few hundred calls with real rows, over HTTP, with a token of the buyer."""
        token = token_of(self.buyer, self.memory)
        with Caller(settings.INFERENCE_URL, token) as caller:
            for model in MODELS:
                endpoint, signature = served[model.name], trained[model.name].signature
                made = self._metered(endpoint.uuid)
                questions, answers = questions_for(model, signature)
                left = slice(made, model.calls)
                if made >= model.calls:
                    continue
                path = f"/serve/{SELLER.organization}/{endpoint.name}/v2/models/{endpoint.slug}/infer"
                said = caller.classes_of(path, signature, questions[left])
                right = sum(one == other for one, other in zip(said, answers[left], strict=True))
                self.say(f"Called {model.name} {len(said)} times: {right} answers were right")

    def _bill(self, served: dict[str, Endpoint]) -> None:
        """The calls arrive in metering, and what they cost at the seller."""
        for model in MODELS:
            self._wait(
                partial(self._is_metered, served[model.name].uuid, model.calls),
                f"The calls of {model.name} were not metered.",
            )
        billing.bill_usage()
        seller = Namespace.objects.get(name=SELLER.organization)
        earned = sum(each.earnings_minor for each in balances(seller) if each.currency == CREDIT)
        self.say(f"The calls are billed: {SELLER.display_name} has earned {Money(earned, CREDIT)}")

    def _metered(self, endpoint: UUID) -> int:
        payer = Namespace.objects.get(name=BUYER.organization).uuid
        return usage_total(Meter.INFERENCE_CALLS, subject=endpoint, payer=payer)

    def _is_metered(self, endpoint: UUID, calls: int) -> bool:
        return self._metered(endpoint) >= calls

    def _repo(self, kind: RepoKind, name: str, description: str) -> Repo:
        """The seller's public repository of that name."""
        try:
            return require_repo(self.seller, kind, SELLER.organization, name, Action.REPO_WRITE)
        except RepoNotFound:
            return repos.create_repo(
                self.seller, kind, SELLER.organization, name, visibility=Visibility.PUBLIC, description=description
            )

    def _version(self, name: str, version: str) -> Version:
        repo = require_repo(self.seller, RepoKind.MODEL, SELLER.organization, name, Action.REPO_WRITE)
        return version_named(repo, version)

    def _endpoint(self, model: Model) -> Endpoint:
        return require_endpoint(self.seller, SELLER.organization, model.name, Action.ENDPOINT_WRITE)

    def _is_serving(self, model: Model) -> bool:
        endpoint = self._endpoint(model)
        if endpoint.state == EndpointState.FAILED:
            raise Conflict(f"The endpoint {model.name} failed: {endpoint.problem}")
        return endpoint.state in SERVING

    def _list(
        self, kind: SubjectKind, subject: UUID, slug: str, title: str, texts: dict[str, Any], plan: dict[str, Any]
    ) -> None:
        """A published listing with one plan, once what it offers has been scanned."""
        listing = Listing.objects.filter(namespace__name=SELLER.organization, slug=slug).first()
        if listing is None:
            listing = listings.create_listing(
                self.seller,
                namespace=SELLER.organization,
                subject_kind=kind,
                subject_uuid=subject,
                title=title,
                slug=slug,
                support_contact=SUPPORT,
                return_terms="Write to us: we give the money back as long as we can see why.",
                **texts,
            )
        if not listing.plans.exists():
            listings.add_plan(self.seller, listing, **plan)
        self._wait(partial(_is_scanned, listing), f"{title} was not scanned: is the worker running?")
        listings.publish_listing(self.seller, listing)

    def _finish(self, running: list[Job], doing: str) -> None:
        """Wait for jobs, passing on what they say. A job that failed or was cancelled before is queued again once; one that fails
        now ends the demonstration."""
        running = [job for job in running if job.state != JobState.SUCCEEDED]
        if not running:
            return
        self.say(doing)
        for job in running:
            if job.state in ENDED:
                jobs.retry(self.seller, job)
        said: dict[int, str] = {}

        def is_over() -> bool:
            present = list(Job.objects.filter(pk__in=[job.pk for job in running]).order_by("pk"))
            for job in present:
                progress = job_progress(job)
                line = f"{progress.fraction:4.0%}  {job.title}: {job.state}" + (
                    f", {progress.message}" if progress.message and job.state == JobState.RUNNING else ""
                )
                stage = f"{job.state} {int(progress.fraction * 4)}"
                if said.get(job.pk) != stage and job.state not in {JobState.QUEUED, JobState.STARTING}:
                    said[job.pk] = stage
                    self.say("  " + line)
                if job.state in ENDED and job.state != JobState.SUCCEEDED:
                    raise Conflict(f"{job.title}: {job.problem or job.state}")
            return all(job.state == JobState.SUCCEEDED for job in present)

        self._wait(is_over, "The jobs do not move: is the worker running?")

    def _wait(self, is_done: Callable[[], bool], otherwise: str) -> None:
        """Until `is_done`. Raises Unavailable with `otherwise` after ten minutes."""
        end = time.monotonic() + _PATIENCE_S
        while not is_done():
            if time.monotonic() > end:
                raise Unavailable(otherwise)
            time.sleep(_POLL_S)


def _is_scanned(listing: Listing) -> bool:
    return facts_of(listing).is_scanned


def _plan_of(listing: Listing) -> Plan:
    return listing.plans.get(retired_at__isnull=True)
