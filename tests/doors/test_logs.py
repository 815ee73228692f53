"""What a process writes: one JSON object a line, whoever logs, and no secret in any of them."""

from __future__ import annotations

import io
import json
import logging
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import structlog
from pydantic import BaseModel, ConfigDict, SecretBytes, SecretStr

from grantkeeper import logs

SECRET = SecretStr("canary")
Lines = Callable[[], list[dict[str, Any]]]

log = structlog.get_logger("made.before")


@pytest.fixture
def loggers() -> Iterator[None]:
    """Leave logging as it was."""
    root = logging.getLogger()
    touched = [logging.getLogger(name) for name in (*logs.QUIET, "uvicorn.access")]
    before = [(each, each.level, each.disabled) for each in (root, *touched)]
    root.handlers.clear()  # pytest's own would be closed with the rest; it puts new ones there for each phase
    yield
    root.handlers = [each for each in root.handlers if not isinstance(each.formatter, structlog.stdlib.ProcessorFormatter)]
    for each, level, disabled in before:
        each.setLevel(level)
        each.disabled = disabled
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()


def configure(level: str) -> Lines:
    """Set logging up, and read what was written: every line must be JSON, and none may hold the secret."""
    logs.configure(level)
    written = io.StringIO()
    (handler,) = (each for each in logging.getLogger().handlers if isinstance(each.formatter, structlog.stdlib.ProcessorFormatter))
    assert isinstance(handler, logging.StreamHandler)
    handler.setStream(written)  # pytest exchanges standard output between a fixture and its test

    def read() -> list[dict[str, Any]]:
        assert "canary" not in written.getvalue()
        return [json.loads(line) for line in written.getvalue().splitlines()]

    return read


@pytest.fixture
def lines(loggers: None) -> Lines:  # noqa: ARG001  # what is set up is put back
    return configure("INFO")


def test_a_line_is_one_json_object(lines: Lines) -> None:
    structlog.get_logger("grantkeeper.x").info("kept", grant="team-a/alice", generation=3)
    (line,) = lines()
    assert line.pop("time").endswith("Z")
    assert line == {"event": "kept", "grant": "team-a/alice", "generation": 3, "level": "info", "logger": "grantkeeper.x"}


def test_what_libraries_log_comes_in_the_same_form(lines: Lines) -> None:
    logging.getLogger("somebody").warning("it is %s", "so")
    (line,) = lines()
    assert (line["event"], line["level"], line["logger"]) == ("it is so", "warning", "somebody")


def test_a_logger_made_before_the_process_was_set_up_follows(lines: Lines) -> None:
    log.info("here")
    assert [line["event"] for line in lines()] == ["here"]


class Held:
    """Something of whose text a secret is a part."""

    def __repr__(self) -> str:
        return f"Held({SECRET})"


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(SECRET, id="itself"),
        pytest.param(SecretBytes(b"canary"), id="bytes"),
        pytest.param({"a": [SECRET, (SECRET,)], "b": {SECRET}}, id="in lists, tuples, sets and mappings"),
        pytest.param([{"token": {"deep": SECRET}}], id="deep inside"),
        pytest.param(Held(), id="in the text of something"),
        pytest.param(ValueError(SECRET), id="in an exception"),
    ],
)
def test_a_secret_is_written_as_asterisks(lines: Lines, value: object) -> None:
    log.info("got", value=value)
    (line,) = lines()
    assert "**********" in json.dumps(line["value"])


def test_a_secret_among_other_things_leaves_them_as_they_are() -> None:
    event = logs.redact(None, "info", {"event": "got", "held": {"token": SECRET, "count": 3}, "names": ["a", SECRET]})
    assert event == {"event": "got", "held": {"token": "**********", "count": 3}, "names": ["a", "**********"]}


def test_a_secret_in_a_message_is_written_as_asterisks(lines: Lines) -> None:
    logging.getLogger("somebody").warning("token %s of %r", SECRET, SECRET)
    (line,) = lines()
    assert line["event"] == "token ********** of SecretStr('**********')"


class Answered(BaseModel):
    """A model that keeps members of a server's choice."""

    model_config = ConfigDict(extra="allow")


def test_of_a_model_only_its_kind_is_written(lines: Lines) -> None:
    log.info("got", tokens=Answered.model_validate({"unheard_of": "canary"}))
    (line,) = lines()
    assert line["tokens"] == "Answered"


def redeem(code: SecretStr) -> None:
    spelled_out = code.get_secret_value()
    raise RuntimeError("it broke", len(spelled_out))


def test_a_traceback_is_written_without_the_variables_of_its_frames(lines: Lines) -> None:
    try:
        redeem(SECRET)
    except RuntimeError:
        log.exception("failed")
    (line,) = lines()
    assert (line["event"], line["level"]) == ("failed", "error")
    assert "RuntimeError: ('it broke', 6)" in line["exception"]


def test_a_bound_context_is_on_every_line_within_it(lines: Lines) -> None:
    with structlog.contextvars.bound_contextvars(grant="team-a/alice"):
        log.info("kept")
        logging.getLogger("somebody").info("kept too")
    assert [line["grant"] for line in lines()] == ["team-a/alice", "team-a/alice"]


@pytest.mark.usefixtures("loggers")
@pytest.mark.parametrize("library", ["kopf", "kopf.objects", "aiohttp.access", "httpx", "httpcore.http11", "asyncio", "uvicorn.error"])
def test_libraries_are_quiet_below_warning_even_when_we_are_not(library: str) -> None:
    lines = configure("DEBUG")
    logging.getLogger(library).debug("whole objects")
    logging.getLogger(library).info("GET /callback?code=canary")
    logging.getLogger(library).warning("worth knowing")
    assert [line["event"] for line in lines()] == ["worth knowing"]


def test_access_logs_are_off(lines: Lines) -> None:
    logging.getLogger("uvicorn.access").critical("GET /callback?code=canary")
    assert lines() == []


@pytest.mark.usefixtures("loggers")
def test_what_is_below_the_level_is_not_written() -> None:
    lines = configure("WARNING")
    log.debug("a")
    log.info("b")
    log.warning("c")
    assert [line["event"] for line in lines()] == ["c"]


class Unwritable:
    """Something that has no text."""

    def __str__(self) -> str:
        raise RuntimeError("no text")


def test_a_line_that_cannot_be_written_stops_nobody(lines: Lines, capsys: pytest.CaptureFixture[str]) -> None:
    log.info("got", value=Unwritable())
    log.info("here")
    assert [line["event"] for line in lines()] == ["here"]
    assert "RuntimeError: no text" in capsys.readouterr().err


def test_a_warning_of_python_is_a_line_too(lines: Lines) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(capture=True)
        warnings.warn("old", UserWarning, stacklevel=1)
        logging.captureWarnings(capture=False)
    (line,) = lines()
    assert "UserWarning: old" in line["event"]
