"""The engine: decides money and keeps the journal."""
