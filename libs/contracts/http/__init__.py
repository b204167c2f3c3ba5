"""HTTP models, one module per service and major version; what is spent has one of its own.

What a service's own API under `/internal/v1` takes and answers is here too: services may know that much of each other.
"""
