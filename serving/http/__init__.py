"""What every answer goes through: problems, headers, validators, compression, metrics."""
