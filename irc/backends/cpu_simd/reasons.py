"""Ops that the backend does not lower, and what to do instead."""

REASONS: dict[str, str] = {}
