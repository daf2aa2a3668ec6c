"""A Stripe of our own for tests: a real HTTP server with state, signed webhooks, idempotency keys and faults on demand.

What it takes is checked against the parameter types of the `stripe` package, what it answers against the package's object types, and
every object begins as Stripe's published sample (`samples.json`, from github.com/stripe/openapi, MIT licence, Copyright (c) 2011-
Stripe, Inc.): it can't drift into an API that we would like to have."""

from tests.support.stripe_server.server import SECRET_KEY, WEBHOOK_SECRET, Fault, StripeServer

__all__ = ["SECRET_KEY", "WEBHOOK_SECRET", "Fault", "StripeServer"]
