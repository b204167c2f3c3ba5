"""What runs Scrip: the servers under it, their stand-ins for a machine without any, and the command line."""
