"""What the pages count: how often each is shown, and what people bring back. Never who."""

from __future__ import annotations

from prometheus_client import Counter

from grantkeeper.adapters.observing import open_registry


class Meter:
    """The numbers of one process that serves pages, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = open_registry()
        self._pages = Counter("grantkeeper_consent_pages_total", "Pages shown to people, by which.", ("page",), registry=self.registry)
        self._answers = Counter(
            "grantkeeper_answers_total",
            "Answers that people brought back, by what they carry; surplus: the request has had all that it may have.",
            ("outcome",),
            registry=self.registry,
        )

    def count_page(self, page: object) -> None:
        """A page was shown: a notice is known by its own name, any other by its kind."""
        self._pages.labels(str(getattr(page, "value", None) or type(page).__name__.lower())).inc()

    def count_answer(self, *, has_code: bool, is_left: bool) -> None:
        """An answer came, and was left for the controller or not."""
        self._answers.labels(("code" if has_code else "error") if is_left else "surplus").inc()
