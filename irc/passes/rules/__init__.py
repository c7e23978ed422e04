"""Rewrite rules by subject; the passes `canonicalize`, `fold` and `decompose` are lists of them."""
