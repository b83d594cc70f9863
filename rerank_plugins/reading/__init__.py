"""Read documents from files: plain lines, JSON, JSONL, CSV and Parquet."""
