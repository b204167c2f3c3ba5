"""What the gateway does, one function per verb, in one module per noun."""
