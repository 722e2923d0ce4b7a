"""What the contracts promise and this release does not do yet, one table an area."""
