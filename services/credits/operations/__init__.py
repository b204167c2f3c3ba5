"""The use cases of credits. Everything that changes a balance goes through `ledger.apply`."""
