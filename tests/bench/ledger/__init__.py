"""How fast the ledger is, against floors measured beside it: `make bench-ledger`."""
