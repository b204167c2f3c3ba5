"""Gateway is the only public door: it knows who calls, and owns users, API keys and the webhooks that Stripe sent.

It takes usage events in, shows balances live, and hands purchases on to payments. It never holds credits or money,
never calls Stripe, and keeps no password and no key that it could read back.
"""
