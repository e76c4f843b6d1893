"""ministack with snapshots and a log of puts that survive a crash, GetRecords authorized as on AWS, and fast expiry."""
