import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("market", "0017_trial_allowances")]

    operations = [
        migrations.CreateModel(
            name="ListingViews",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("day", models.DateField()),
                ("views", models.PositiveIntegerField(default=0)),
                (
                    "listing",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to="market.listing"
                    ),
                ),
            ],
            options={
                "indexes": [models.Index(fields=["day", "listing"], name="listing_views_by_day")],
                "constraints": [models.UniqueConstraint(fields=("listing", "day"), name="listing_views_once")],
            },
        ),
    ]
