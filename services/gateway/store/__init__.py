"""Every SQL statement of the gateway, one function each, in one module per noun."""
