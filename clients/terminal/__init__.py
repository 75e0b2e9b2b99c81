"""The SDK a terminal vendor uses, and the simulator."""
