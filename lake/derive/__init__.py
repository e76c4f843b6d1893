"""The job DeriveDays: history into trips and device days, those days alone that changed."""
