"""Notifications owns messages to people: their contacts, what each was told, how often we tried, what came of it.

It never decides about money or credits, never calls another service, and tells each business event once. Codes of gift
cards it has only sealed, and opens them to write the mail.
"""
