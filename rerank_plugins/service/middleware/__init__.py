"""What surrounds every route: the request's id and log line, the API key, the size of the body."""
