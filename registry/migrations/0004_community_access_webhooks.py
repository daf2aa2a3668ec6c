import django.db.models.deletion
import django.db.models.functions.text
from django.conf import settings
from django.db import migrations, models

import common.clock
import common.ids
import registry.states


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0003_idempotency"),
        ("registry", "0003_blob_preview"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="AccessRequest",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("uuid", models.UUIDField(default=common.ids.new_uuid, editable=False, unique=True)),
                (
                    "state",
                    models.CharField(
                        choices=[("pending", "pending"), ("accepted", "accepted"), ("rejected", "rejected")],
                        max_length=8,
                    ),
                ),
                ("answers", models.JSONField(default=dict)),
                ("reason", models.CharField(blank=True, max_length=200)),
                ("created_at", models.DateTimeField(default=common.clock.now)),
                ("decided_at", models.DateTimeField(null=True)),
            ],
        ),
        migrations.CreateModel(
            name="Collection",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("uuid", models.UUIDField(default=common.ids.new_uuid, editable=False, unique=True)),
                ("title", models.CharField(max_length=60)),
                ("description", models.CharField(blank=True, max_length=150)),
                ("theme", models.CharField(default="blue", max_length=10)),
                ("is_private", models.BooleanField(default=False)),
                ("position", models.IntegerField(default=0)),
                ("created_at", models.DateTimeField(default=common.clock.now)),
                ("updated_at", models.DateTimeField(default=common.clock.now)),
            ],
        ),
        migrations.CreateModel(
            name="CollectionItem",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("uuid", models.UUIDField(default=common.ids.new_uuid, editable=False, unique=True)),
                ("note", models.CharField(blank=True, max_length=500)),
                ("position", models.IntegerField()),
            ],
        ),
        migrations.CreateModel(
            name="Discussion",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("uuid", models.UUIDField(default=common.ids.new_uuid, editable=False, unique=True)),
                ("number", models.PositiveIntegerField()),
                ("title", models.CharField(max_length=200)),
                (
                    "state",
                    models.CharField(
                        choices=[("draft", "draft"), ("open", "open"), ("closed", "closed"), ("merged", "merged")],
                        max_length=8,
                    ),
                ),
                ("target", models.CharField(blank=True, max_length=200)),
                ("created_at", models.DateTimeField(default=common.clock.now)),
                ("updated_at", models.DateTimeField(default=common.clock.now)),
            ],
        ),
        migrations.CreateModel(
            name="DiscussionEvent",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("uuid", models.UUIDField(default=common.ids.new_uuid, editable=False, unique=True)),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("comment", "comment"),
                            ("status-change", "status-change"),
                            ("title-change", "title-change"),
                            ("commit", "commit"),
                        ],
                        max_length=16,
                    ),
                ),
                ("data", models.JSONField(default=dict)),
                ("text", models.TextField(blank=True)),
                ("history", models.JSONField(default=list)),
                ("edited_at", models.DateTimeField(null=True)),
                ("hidden_at", models.DateTimeField(null=True)),
                ("created_at", models.DateTimeField(default=common.clock.now)),
            ],
        ),
        migrations.CreateModel(
            name="RepoEvent",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("uuid", models.UUIDField(default=common.ids.new_uuid, editable=False, unique=True)),
                ("domain", models.CharField(max_length=12)),
                ("payload", models.JSONField()),
                ("created_at", models.DateTimeField(db_index=True, default=common.clock.now)),
            ],
        ),
        migrations.CreateModel(
            name="RepoLike",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("created_at", models.DateTimeField(default=common.clock.now)),
            ],
        ),
        migrations.CreateModel(
            name="RepoRedirect",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "kind",
                    models.CharField(
                        choices=[("model", "model"), ("dataset", "dataset"), ("algorithm", "algorithm")], max_length=12
                    ),
                ),
                ("name", models.CharField(max_length=96)),
                ("created_at", models.DateTimeField(default=common.clock.now)),
            ],
        ),
        migrations.CreateModel(
            name="Webhook",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("uuid", models.UUIDField(default=common.ids.new_uuid, editable=False, unique=True)),
                ("url", models.CharField(max_length=500)),
                ("domains", models.JSONField(default=list)),
                ("sealed_secret", models.TextField(blank=True)),
                ("is_enabled", models.BooleanField(default=True)),
                ("failures_in_a_row", models.PositiveIntegerField(default=0)),
                ("created_at", models.DateTimeField(default=common.clock.now)),
            ],
        ),
        migrations.CreateModel(
            name="WebhookDelivery",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("uuid", models.UUIDField(default=common.ids.new_uuid, editable=False, unique=True)),
                ("state", models.CharField(default=registry.states.DeliveryState["WAITING"], max_length=10)),
                ("attempts", models.PositiveIntegerField(default=0)),
                ("status", models.PositiveIntegerField(null=True)),
                ("error", models.CharField(blank=True, max_length=300)),
                ("created_at", models.DateTimeField(default=common.clock.now)),
                ("ended_at", models.DateTimeField(null=True)),
            ],
        ),
        migrations.CreateModel(
            name="WebhookWatch",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
            ],
        ),
        migrations.AddField(
            model_name="repo",
            name="facts",
            field=models.JSONField(default=dict),
        ),
        migrations.AddField(
            model_name="repo",
            name="likes",
            field=models.BigIntegerField(default=0),
        ),
        migrations.AddField(
            model_name="repo",
            name="parameter_count",
            field=models.BigIntegerField(null=True),
        ),
        migrations.AddField(
            model_name="repo",
            name="trend",
            field=models.BigIntegerField(default=0),
        ),
        migrations.AddIndex(
            model_name="repo",
            index=models.Index(fields=["kind", "-likes", "-id"], name="repo_likes"),
        ),
        migrations.AddIndex(
            model_name="repo",
            index=models.Index(fields=["kind", "-trend", "-id"], name="repo_trend"),
        ),
        migrations.AddField(
            model_name="accessrequest",
            name="asked_by",
            field=models.ForeignKey(
                null=True, on_delete=django.db.models.deletion.SET_NULL, related_name="+", to=settings.AUTH_USER_MODEL
            ),
        ),
        migrations.AddField(
            model_name="accessrequest",
            name="decided_by",
            field=models.ForeignKey(
                null=True, on_delete=django.db.models.deletion.SET_NULL, related_name="+", to=settings.AUTH_USER_MODEL
            ),
        ),
        migrations.AddField(
            model_name="accessrequest",
            name="organization",
            field=models.ForeignKey(
                null=True, on_delete=django.db.models.deletion.CASCADE, related_name="+", to="accounts.organization"
            ),
        ),
        migrations.AddField(
            model_name="accessrequest",
            name="repo",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE, related_name="access_requests", to="registry.repo"
            ),
        ),
        migrations.AddField(
            model_name="accessrequest",
            name="team",
            field=models.ForeignKey(
                null=True, on_delete=django.db.models.deletion.CASCADE, related_name="+", to="accounts.team"
            ),
        ),
        migrations.AddField(
            model_name="accessrequest",
            name="user",
            field=models.ForeignKey(
                null=True, on_delete=django.db.models.deletion.CASCADE, related_name="+", to=settings.AUTH_USER_MODEL
            ),
        ),
        migrations.AddField(
            model_name="collection",
            name="namespace",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="collections", to="accounts.namespace"
            ),
        ),
        migrations.AddField(
            model_name="collectionitem",
            name="collection",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE, related_name="items", to="registry.collection"
            ),
        ),
        migrations.AddField(
            model_name="collectionitem",
            name="repo",
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name="+", to="registry.repo"),
        ),
        migrations.AddField(
            model_name="discussion",
            name="author",
            field=models.ForeignKey(
                null=True, on_delete=django.db.models.deletion.SET_NULL, related_name="+", to=settings.AUTH_USER_MODEL
            ),
        ),
        migrations.AddField(
            model_name="discussion",
            name="base",
            field=models.ForeignKey(
                null=True, on_delete=django.db.models.deletion.PROTECT, related_name="+", to="registry.commit"
            ),
        ),
        migrations.AddField(
            model_name="discussion",
            name="branch",
            field=models.OneToOneField(
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="pull_request",
                to="registry.branch",
            ),
        ),
        migrations.AddField(
            model_name="discussion",
            name="merge_commit",
            field=models.ForeignKey(
                null=True, on_delete=django.db.models.deletion.PROTECT, related_name="+", to="registry.commit"
            ),
        ),
        migrations.AddField(
            model_name="discussion",
            name="repo",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE, related_name="discussions", to="registry.repo"
            ),
        ),
        migrations.AddField(
            model_name="discussionevent",
            name="author",
            field=models.ForeignKey(
                null=True, on_delete=django.db.models.deletion.SET_NULL, related_name="+", to=settings.AUTH_USER_MODEL
            ),
        ),
        migrations.AddField(
            model_name="discussionevent",
            name="discussion",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE, related_name="events", to="registry.discussion"
            ),
        ),
        migrations.AddField(
            model_name="repoevent",
            name="repo",
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name="+", to="registry.repo"),
        ),
        migrations.AddField(
            model_name="repolike",
            name="repo",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE, related_name="like_rows", to="registry.repo"
            ),
        ),
        migrations.AddField(
            model_name="repolike",
            name="user",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE, related_name="+", to=settings.AUTH_USER_MODEL
            ),
        ),
        migrations.AddField(
            model_name="reporedirect",
            name="namespace",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE, related_name="+", to="accounts.namespace"
            ),
        ),
        migrations.AddField(
            model_name="reporedirect",
            name="repo",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE, related_name="redirects", to="registry.repo"
            ),
        ),
        migrations.AddField(
            model_name="webhook",
            name="user",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE, related_name="+", to=settings.AUTH_USER_MODEL
            ),
        ),
        migrations.AddField(
            model_name="webhookdelivery",
            name="event",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE, related_name="deliveries", to="registry.repoevent"
            ),
        ),
        migrations.AddField(
            model_name="webhookdelivery",
            name="webhook",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE, related_name="deliveries", to="registry.webhook"
            ),
        ),
        migrations.AddField(
            model_name="webhookwatch",
            name="namespace",
            field=models.ForeignKey(
                null=True, on_delete=django.db.models.deletion.CASCADE, related_name="+", to="accounts.namespace"
            ),
        ),
        migrations.AddField(
            model_name="webhookwatch",
            name="repo",
            field=models.ForeignKey(
                null=True, on_delete=django.db.models.deletion.CASCADE, related_name="+", to="registry.repo"
            ),
        ),
        migrations.AddField(
            model_name="webhookwatch",
            name="webhook",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE, related_name="watches", to="registry.webhook"
            ),
        ),
        migrations.AddIndex(
            model_name="accessrequest",
            index=models.Index(fields=["repo", "state", "-created_at", "-id"], name="access_by_state"),
        ),
        migrations.AddConstraint(
            model_name="accessrequest",
            constraint=models.UniqueConstraint(fields=("repo", "user"), name="access_of_user_once"),
        ),
        migrations.AddConstraint(
            model_name="accessrequest",
            constraint=models.UniqueConstraint(fields=("repo", "organization"), name="access_of_organization_once"),
        ),
        migrations.AddConstraint(
            model_name="accessrequest",
            constraint=models.UniqueConstraint(fields=("repo", "team"), name="access_of_team_once"),
        ),
        migrations.AddConstraint(
            model_name="accessrequest",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("organization__isnull", True), ("team__isnull", True), ("user__isnull", False)),
                    models.Q(("organization__isnull", False), ("team__isnull", True), ("user__isnull", True)),
                    models.Q(("organization__isnull", True), ("team__isnull", False), ("user__isnull", True)),
                    _connector="OR",
                ),
                name="access_one_holder",
            ),
        ),
        migrations.AddConstraint(
            model_name="accessrequest",
            constraint=models.CheckConstraint(
                condition=models.Q(("state__in", ["pending", "accepted", "rejected"])), name="access_state"
            ),
        ),
        migrations.AddIndex(
            model_name="collection",
            index=models.Index(fields=["-updated_at", "-id"], name="collection_newest"),
        ),
        migrations.AddConstraint(
            model_name="collection",
            constraint=models.UniqueConstraint(
                models.F("namespace"), django.db.models.functions.text.Lower("title"), name="collection_title_ci"
            ),
        ),
        migrations.AddConstraint(
            model_name="collectionitem",
            constraint=models.UniqueConstraint(fields=("collection", "repo"), name="collection_item_once"),
        ),
        migrations.AddConstraint(
            model_name="discussion",
            constraint=models.UniqueConstraint(fields=("repo", "number"), name="discussion_number"),
        ),
        migrations.AddConstraint(
            model_name="discussion",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(
                        ("base__isnull", True),
                        ("branch__isnull", True),
                        ("state__in", ["open", "closed"]),
                        ("target", ""),
                    ),
                    models.Q(
                        ("base__isnull", False), ("branch__isnull", False), models.Q(("target", ""), _negated=True)
                    ),
                    _connector="OR",
                ),
                name="discussion_or_pull_request",
            ),
        ),
        migrations.AddConstraint(
            model_name="discussion",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("merge_commit__isnull", False), ("state", "merged")),
                    models.Q(models.Q(("state", "merged"), _negated=True), ("merge_commit__isnull", True)),
                    _connector="OR",
                ),
                name="discussion_merged",
            ),
        ),
        migrations.AddIndex(
            model_name="discussionevent",
            index=models.Index(fields=["discussion", "id"], name="discussion_event_order"),
        ),
        migrations.AddIndex(
            model_name="repolike",
            index=models.Index(fields=["user", "-created_at", "-id"], name="repo_like_of_user"),
        ),
        migrations.AddIndex(
            model_name="repolike",
            index=models.Index(fields=["repo", "-created_at", "-id"], name="repo_like_of_repo"),
        ),
        migrations.AddConstraint(
            model_name="repolike",
            constraint=models.UniqueConstraint(fields=("repo", "user"), name="repo_like_once"),
        ),
        migrations.AddConstraint(
            model_name="reporedirect",
            constraint=models.UniqueConstraint(
                models.F("namespace"),
                models.F("kind"),
                django.db.models.functions.text.Lower("name"),
                name="repo_redirect_ci",
            ),
        ),
        migrations.AddIndex(
            model_name="webhook",
            index=models.Index(fields=["user", "-created_at"], name="webhook_of_user"),
        ),
        migrations.AddIndex(
            model_name="webhookdelivery",
            index=models.Index(fields=["webhook", "-created_at", "-id"], name="webhook_delivery_newest"),
        ),
        migrations.AddConstraint(
            model_name="webhookdelivery",
            constraint=models.UniqueConstraint(fields=("webhook", "event"), name="webhook_delivery_once"),
        ),
        migrations.AddConstraint(
            model_name="webhookwatch",
            constraint=models.UniqueConstraint(fields=("webhook", "repo"), name="webhook_watch_repo_once"),
        ),
        migrations.AddConstraint(
            model_name="webhookwatch",
            constraint=models.UniqueConstraint(fields=("webhook", "namespace"), name="webhook_watch_namespace_once"),
        ),
        migrations.AddConstraint(
            model_name="webhookwatch",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("namespace__isnull", True), ("repo__isnull", False)),
                    models.Q(("namespace__isnull", False), ("repo__isnull", True)),
                    _connector="OR",
                ),
                name="webhook_watch_one",
            ),
        ),
    ]
