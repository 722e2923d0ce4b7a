"""The life of model versions: one state machine, one coordinator, sagas."""
