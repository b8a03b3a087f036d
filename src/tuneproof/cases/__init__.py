"""Cases that come with tuneproof."""
