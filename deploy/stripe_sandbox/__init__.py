"""A small, honest, stateful stand-in for Stripe on one's own machine.

It keeps customers, a catalogue, payments, refunds and events, follows Stripe's published rules for the calls
it plays, signs and delivers webhooks, and can be told to misbehave. It refuses what it does not play, rather
than pretending; it never sees real money, real cards or live keys.
"""
