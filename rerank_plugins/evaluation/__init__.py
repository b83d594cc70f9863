"""Judged questions in, tables and figures of before and after out."""
