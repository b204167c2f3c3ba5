"""What services may know of each other, and the world of us: events, HTTP models, money, credits, ids, topics, errors.

Depends on pydantic alone and does no I/O, but for `client/`, which other teams use. They install this folder as the
package `scrip_contracts`; imports inside it are relative, so that it is the same code under both names.
"""
