"""The tests of packed rows."""
