"""What happens around every call, outermost first: log, metrics, errors, identity, limits."""
