"""The package of a Spark job: all that a cluster needs to run lake.main, and nothing from the network."""
