"""Rules of the ledger that need no database: what a posting is, what it does to an account, what usage costs."""
