"""ministack with snapshots that survive a crash, GetRecords authorized as on AWS, and expiry that stays fast."""
