"""What turns queries and documents into scores."""
