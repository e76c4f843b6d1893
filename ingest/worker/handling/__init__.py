"""Records to a handler of a library's user, in place of landing: called, retried, set aside, checkpointed."""
