"""Credits owns the ledger: accounts, lots, entries, the price book, the rating of usage.

It never talks to Stripe, never sees a card or a password, and never sends a mail.
"""
