"""Tools for a stopped or copied data directory: verify, dump, follow, restore.

They share no code with the engine. What the journal says is read again here from its
specification (docs/reference/journal-format.md, docs/reference/decisions.md).
"""
