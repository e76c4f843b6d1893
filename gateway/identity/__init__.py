"""Who may speak: the region's registry, what is remembered of it, and how a device proves who it is."""
