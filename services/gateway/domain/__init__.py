"""The gateway's rules, one module per noun; no I/O."""
