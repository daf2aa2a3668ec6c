import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import common.clock
import common.ids
import registry.states


class Migration(migrations.Migration):
    dependencies = [
        ("registry", "0008_scanning"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="DatasetDerivation",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("uuid", models.UUIDField(default=common.ids.new_uuid, editable=False, unique=True)),
                ("recipe", models.JSONField()),
                ("version_name", models.CharField(max_length=80)),
                ("state", models.CharField(default=registry.states.DerivationState["WAITING"], max_length=12)),
                ("problem", models.TextField(blank=True)),
                ("token_id", models.BigIntegerField(null=True)),
                ("created_at", models.DateTimeField(default=common.clock.now)),
                (
                    "repo",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="derivations", to="registry.repo"
                    ),
                ),
                (
                    "source",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="registry.version"
                    ),
                ),
                (
                    "user",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "version",
                    models.ForeignKey(
                        null=True, on_delete=django.db.models.deletion.PROTECT, related_name="+", to="registry.version"
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="DatasetProfile",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("tree_oid", models.CharField(max_length=40)),
                ("rules", models.CharField(max_length=40)),
                ("content", models.JSONField()),
                ("is_valid", models.BooleanField(null=True)),
                ("created_at", models.DateTimeField(default=common.clock.now)),
                (
                    "repo",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="profiles", to="registry.repo"
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="DatasetPicture",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("number", models.PositiveIntegerField()),
                ("content", models.BinaryField()),
                (
                    "profile",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="pictures",
                        to="registry.datasetprofile",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="DatasetComparison",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("before_oid", models.CharField(max_length=40)),
                ("after_oid", models.CharField(max_length=40)),
                ("key", models.CharField(blank=True, max_length=400)),
                ("rules", models.CharField(max_length=40)),
                ("content", models.JSONField()),
                ("created_at", models.DateTimeField(default=common.clock.now)),
                (
                    "repo",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="comparisons", to="registry.repo"
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=("repo", "before_oid", "after_oid", "key", "rules"), name="dataset_comparison_once"
                    )
                ],
            },
        ),
        migrations.AddConstraint(
            model_name="datasetprofile",
            constraint=models.UniqueConstraint(fields=("repo", "tree_oid", "rules"), name="dataset_profile_once"),
        ),
        migrations.AddConstraint(
            model_name="datasetpicture",
            constraint=models.UniqueConstraint(fields=("profile", "number"), name="dataset_picture_once"),
        ),
    ]
