"""All op definitions, one family a file."""
