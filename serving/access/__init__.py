"""Who asks: tokens, the keys that are believed, revoked tokens, and rates."""
