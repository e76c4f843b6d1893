"""The Spark session: Java, jars, class archive, settings."""
