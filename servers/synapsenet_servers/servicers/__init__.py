"""One servicer an area: translate, call the service, translate back."""
