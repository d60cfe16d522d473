import json
import logging

from tamperscan.serve.logs import JsonLines


def line(message, facts=None, **more):
    record = logging.LogRecord("tamperscan.serve.worker", logging.WARNING, "", 0, message, (), None)
    record.facts = facts or {}
    for name, value in more.items():
        setattr(record, name, value)
    return JsonLines().format(record)


def test_a_record_is_one_line_of_json():
    told = json.loads(line("screened", {"job": "a", "images": 3}))
    assert (told["part"], told["message"], told["level"]) == ("worker", "screened", "warning")
    assert (told["job"], told["images"]) == ("a", 3)


def test_nothing_from_outside_ends_a_line_or_reaches_the_terminal():
    told = line("refused", {"sender": 'X"\n{"level": "info"}\x1b[2J\u202e'})
    assert told.isascii()
    assert told.isprintable()
    assert json.loads(told)["sender"].startswith('X"\n')


def test_what_is_long_is_cut():
    assert len(line("refused", {"sender": "x" * 10_000})) < 1000


def test_an_error_is_told_without_a_traceback():
    try:
        raise ValueError("no\nluck")
    except ValueError as error:
        told = line("failed", exc_info=(type(error), error, error.__traceback__))
    assert json.loads(told)["error"] == "ValueError: no\nluck"
    assert "Traceback" not in told
