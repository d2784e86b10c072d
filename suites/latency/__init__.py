"""Area latency: how long what is promised takes, measured from the intended start."""
