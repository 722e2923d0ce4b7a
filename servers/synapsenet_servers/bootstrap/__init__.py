"""The composition root: the only place that knows both areas and adapters; one module an area."""
