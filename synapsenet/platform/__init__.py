"""What every area stands on: units of work, events, locks, membership, artifacts, paging."""
