"""The use cases, one function per verb. Every call to Stripe stands between transactions, never inside one."""
