"""The real parts that tests and the demo run on: Kubernetes, an authorization server, a person, and the processes of the chart."""


class PartFailed(Exception):
    """A real part cannot be had or has died; the message is a sentence for whoever ran the command."""
