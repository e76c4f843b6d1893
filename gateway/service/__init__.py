"""The gateway as a service: processes, signals, pages, and what they tell each other."""
