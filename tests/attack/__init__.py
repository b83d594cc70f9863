"""Attacks on the service and the engine; the long ones run in `make attack` only."""
