"""What the interfaces clear away later."""

from api.hf.xet.spool import SWEEP_EVERY_S, spool_folder, sweep
from work.door import task
from work.schedules import schedule


@task("api.sweep_xet_spool", queue="slow")
def sweep_xet_spool() -> None:
    """Clears the folder that the worker shares with the web processes; one that it does not share they clear themselves."""
    sweep(spool_folder())


schedule("api.sweep_xet_spool", "api.sweep_xet_spool", SWEEP_EVERY_S)
