from django.db import migrations

from common.append_only import append_only


class Migration(migrations.Migration):
    dependencies = [("market", "0003_search")]

    operations = [append_only("market_plan", mutable=("retired_at",))]
