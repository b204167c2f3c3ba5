"""HTTP in: what other services may ask of the ledger, under `/internal/v1`; one module per noun."""
