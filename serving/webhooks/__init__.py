"""Webhooks: customers are told what happens, signed and until they have taken it."""
