"""The rules of papers: pure, typed, without I/O."""
