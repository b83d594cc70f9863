"""Tests of the score caches."""
