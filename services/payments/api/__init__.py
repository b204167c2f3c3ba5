"""HTTP in: what the gateway may ask of payments, under `/internal/v1`; one module per noun."""
