"""The application, its parts, and its processes."""
