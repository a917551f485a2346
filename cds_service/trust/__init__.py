"""Whom the service trusts: the client registry, tokens and their keys, replay, and where requests may go."""
