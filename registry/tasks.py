"""What the registry does later."""

from registry.services import (
    comparisons,
    derivations,
    environments,
    exports,
    facts,
    fetching,
    garbage,
    imports,
    preparations,
    previews,
    profiles,
    repos,
    samples,
    scans,
    signing,
    sources,
    studies,
    trials,
    uploads,
    webhooks,
)
from work.door import task
from work.schedules import schedule


@task("registry.scan_version", queue="cpu", limit_s=600)
def scan_version(version_id: int) -> None:
    scans.scan_version(version_id)


@task("registry.scan_repo", queue="cpu", limit_s=600)
def scan_repo(repo_id: int) -> None:
    scans.scan_repo(repo_id)


@task("registry.rescan", queue="slow", limit_s=600)
def rescan() -> None:
    scans.rescan()


@task("registry.sign_version", queue="cpu", limit_s=300)
def sign_version(version_id: int) -> None:
    signing.sign_version(version_id)


@task("registry.read_environment", queue="cpu", limit_s=180)
def read_environment(version_id: int) -> None:
    environments.read_environment(version_id)


@task("registry.sign_again", queue="slow")
def sign_again(key_id: int) -> None:
    signing.sign_again(key_id)


@task("registry.preview_blob", queue="cpu", limit_s=180)
def preview_blob(blob_id: int) -> None:
    previews.preview_blob(blob_id)


@task("registry.profile_dataset", queue="cpu", limit_s=1800)
def profile_dataset(commit_id: int) -> None:
    profiles.profile_dataset(commit_id)


@task("registry.compare_datasets", queue="cpu", limit_s=1800)
def compare_datasets(before_id: int, after_id: int, key: str) -> None:
    comparisons.compare_datasets(before_id, after_id, key)


@task("registry.derive_dataset", queue="cpu", limit_s=1800)
def derive_dataset(derivation_id: int) -> None:
    derivations.derive_dataset(derivation_id)


@task("registry.prepare_content", queue="slow", limit_s=8 * 3600, max_attempts=fetching.ATTEMPTS)
def prepare_content(preparation_id: int) -> None:
    fetching.prepare_content(preparation_id)


@task("registry.forget_preparations", queue="slow")
def forget_preparations() -> None:
    preparations.forget_preparations()


@task("registry.study_weights", queue="cpu", limit_s=900)
def study_weights(before_id: int, after_id: int) -> None:
    studies.study_weights(before_id, after_id)


@task("registry.study_speed", queue="cpu", limit_s=180)
def study_speed(version_id: int) -> None:
    studies.study_speed(version_id)


@task("registry.study_panel", queue="cpu", limit_s=300)
def study_panel(version_ids: str, base: int) -> None:
    studies.study_panel(version_ids, base)


@task("registry.query_sample", queue="cpu", limit_s=60)
def query_sample(commit_id: int, query: str) -> None:
    samples.query_sample(commit_id, query)


@task("registry.answer_trial", queue="cpu", limit_s=180)
def answer_trial(trial_id: int, version_id: int) -> None:
    trials.answer_trial(trial_id, version_id)


@task("registry.forget_studies", queue="slow")
def forget_studies() -> None:
    studies.forget_studies()


@task("registry.refresh_facts", queue="cpu", limit_s=120)
def refresh_facts(repo_id: int) -> None:
    facts.refresh_facts(repo_id)


@task("registry.fan_out_event", queue="slow")
def fan_out_event(event_id: int) -> None:
    webhooks.fan_out_event(event_id)


@task("registry.deliver_webhook", queue="slow", limit_s=60)
def deliver_webhook(delivery_id: int) -> None:
    webhooks.deliver_webhook(delivery_id)


@task("registry.forget_old_events", queue="slow")
def forget_old_events() -> None:
    webhooks.forget_old_events()


@task("registry.fade_trends", queue="slow")
def fade_trends() -> None:
    repos.fade_trends()


@task("registry.sweep_uploads", queue="slow")
def sweep_uploads() -> None:
    uploads.sweep_uploads()


@task("registry.make_export", queue="slow", limit_s=6 * 3600)
def make_export(export_id: int) -> None:
    exports.make_export(export_id)


@task("registry.run_import", queue="slow", limit_s=6 * 3600)
def run_import(import_id: int) -> None:
    imports.run_import(import_id)


@task("registry.sweep_exports", queue="slow")
def sweep_exports() -> None:
    exports.sweep_exports()


@task("registry.collect_garbage", queue="slow", limit_s=6 * 3600)
def collect_garbage() -> None:
    garbage.collect()


@task("registry.finish_erasing", queue="slow", limit_s=3600)
def finish_erasing() -> None:
    garbage.finish_erasing()


@task("registry.sync_source", queue="slow", limit_s=sources.LIMIT_S)
def sync_source(source_id: int) -> None:
    sources.sync_source(source_id)


@task("registry.start_due_sources", queue="slow")
def start_due_sources() -> None:
    sources.start_due()


@task("registry.sweep_scans", queue="slow")
def sweep_scans() -> None:
    scans.sweep_scans()


schedule("registry.sweep_uploads", "registry.sweep_uploads", 3600)
schedule("registry.start_due_sources", "registry.start_due_sources", 60)
schedule("registry.sweep_exports", "registry.sweep_exports", 3600)
schedule("registry.sweep_scans", "registry.sweep_scans", 3600)
schedule("registry.collect_garbage", "registry.collect_garbage", 24 * 3600)
schedule("registry.finish_erasing", "registry.finish_erasing", 3600)
schedule("registry.rescan", "registry.rescan", 3600)
schedule("registry.forget_old_events", "registry.forget_old_events", 3600)
schedule("registry.forget_studies", "registry.forget_studies", 3600)
schedule("registry.forget_preparations", "registry.forget_preparations", 24 * 3600)
schedule("registry.fade_trends", "registry.fade_trends", 24 * 3600)
