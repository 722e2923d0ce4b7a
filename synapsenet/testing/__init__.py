"""Contract suites that every adapter passes, and the fakes that tests share."""
