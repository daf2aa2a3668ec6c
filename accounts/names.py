"""First path segments that no namespace may take, because a URL space of the site answers there."""

RESERVED = frozenset(
    """
    - .well-known about access account accounts admin algorithms api approvals assets auth billing blog cas cart certificates checkout collections compare
    competitions console contact datasets docs earnings endpoints evaluations explore exports favicon.ico feedback forgot git health help home hooks imports
    inbox invitations invoices jobs join kernels legal library licences licenses listings login logout market media metrics mlflow models new notices notifications
    oauth orders organizations orgs papers password payouts privacy profile pricing raw recalls register reset resolve robots.txt search security sell
    serve settings signin signup site spaces statements static status storage subjects subscriptions support system team teams terms tokens uploads user users v1 v2 wallet waivers
    webhooks workspace www
    """.split()
)


def is_reserved(name: str) -> bool:
    return name.lower() in RESERVED
