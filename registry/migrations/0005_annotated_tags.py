from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("registry", "0004_community_access_webhooks")]

    operations = [
        migrations.AddField("tag", "oid", models.CharField(blank=True, max_length=40)),
        migrations.AddField("tag", "raw", models.BinaryField(blank=True, default=bytes)),
    ]
