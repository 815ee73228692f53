"""The demo: somebody's consent becomes a token that stays fresh, on a real Kubernetes with a real authorization server."""
