"""Device access under trouble: fleets that keep what was not acknowledged, and the ways to hurt them."""
