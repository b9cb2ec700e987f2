"""Tiny models of every architecture that transformers knows, and whether they are scored as they answer natively."""
