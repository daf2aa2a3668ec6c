"""Every "when this, then that" between strangers, on one page. Called once per process, when all apps are loaded."""

from accounts import membership_changes
from compute import endpoint_holds
from config import node_kinds
from lineage import kinds
from market import recall_queries
from market.services import seats


def connect() -> None:
    """Join the apps. Each line says what one app contributes to another that does not know it."""
    # the graph of lineage learns what its nodes are called and who may see them
    kinds.register("version", node_kinds.versions)
    kinds.register("build", node_kinds.builds)
    kinds.register("model", node_kinds.repos)
    kinds.register("dataset", node_kinds.repos)
    kinds.register("source", node_kinds.sources)
    kinds.register("job", node_kinds.jobs)
    kinds.register("endpoint", node_kinds.endpoints)
    kinds.register("listing", node_kinds.listings)
    kinds.register("order", node_kinds.orders)
    # whoever leaves an organisation or a team leaves the seats that came with it
    membership_changes.register(seats.settle_seats)
    # endpoints stop answering with what was recalled
    endpoint_holds.register(recall_queries.frozen_things)
