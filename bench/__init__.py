"""Benchmarks: engine, rpc, replay, start."""
