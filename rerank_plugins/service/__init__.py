"""One model for many applications: an HTTP service in the wire formats that their clients already speak."""
