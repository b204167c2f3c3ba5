"""The `scrip` command: run a stack, look at it, audit it."""
