"""Desk → a page on this machine alone: what it sends, who may ask, and the server."""
