"""Every SQL statement of the service, one file per noun."""
