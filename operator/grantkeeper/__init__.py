"""Grantkeeper keeps people's OAuth consent on Kubernetes: sealed, fresh and delivered."""
