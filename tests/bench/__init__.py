"""`make bench`: what the controller costs on a real API server, each figure beside an anchor of the same run."""
