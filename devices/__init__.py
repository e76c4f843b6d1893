"""What stands in for devices: fleet simulator, file replay with mappings, and the producer that puts on Kinesis."""
