"""What a node does with what arrives: one YAML file, checked as a whole before anything starts.

`docs/reference/node-rules.md` tells every key.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, ValidationError, field_validator

from tamperscan.errors import ServeError, TamperscanError
from tamperscan.serve.settings import Destination, NodeSettings, Quiet, Strict


def _pattern(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"is no regular expression ({error})") from error
    return text


Pattern = Annotated[str, AfterValidator(_pattern)]


class Thickness(Strict):
    """Slice thickness in mm, both ends included."""

    at_least: float = 0.0
    at_most: float = float("inf")


class When(Strict):
    """Which series a rule is for: those that fulfil all that is given.

    Attributes
    ----------
    modality, body_part
        One or several values, in any case of letters.
    series_description
        A regular expression that is found anywhere in it.
    slice_thickness
        A range in mm; a series without a thickness is in none.
    sender
        One or several calling AE titles; ``*`` and ``?`` stand for any characters.
    """

    modality: tuple[str, ...] = ()
    body_part: tuple[str, ...] = ()
    series_description: Pattern | None = None
    slice_thickness: Thickness | None = None
    sender: tuple[str, ...] = ()

    @field_validator("modality", "body_part", "sender", mode="before")
    @classmethod
    def _one_or_several(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value


class Rule(Strict):
    """What is done with the series that it is for.

    Attributes
    ----------
    name
        What it is called in logs and in the worklist.
    when
        Which series it is for.
    screen
        Whether they are screened.
    detector, head, alarm_rate
        By what, and at which false-alarm rate; see ``tamperscan screen --help``.
    send_to
        Names of the destinations of the results.
    keep_originals
        Whether the images stay in the node after their results were delivered.
    """

    name: Annotated[str, Field(min_length=1, max_length=64)]
    when: When = When()
    screen: bool = True
    detector: str = "auto"
    head: Literal["typicality", "self-forged", "combined"] | None = None
    alarm_rate: Annotated[float, Field(gt=0, lt=1)] = 0.05
    send_to: tuple[str, ...] = ()
    keep_originals: bool = True

    @field_validator("send_to", mode="before")
    @classmethod
    def _one_or_several(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    def model_for(self, modality: str) -> str:
        """Give the detector's name for a modality."""
        if self.detector != "auto":
            return self.detector
        return "mr" if modality == "MR" else "ct"

    def fits(self, series: SeriesFacts) -> bool:
        """Whether the rule is for a series."""
        when, thickness = self.when, series.slice_thickness
        span = when.slice_thickness
        return (
            _among(series.modality, when.modality)
            and _among(series.body_part, when.body_part)
            and (not when.series_description or re.search(when.series_description, series.description) is not None)
            and (span is None or (thickness is not None and span.at_least <= thickness <= span.at_most))
            and (not when.sender or any(fnmatchcase(series.sender, one) for one in when.sender))
        )


class SeriesFacts(Strict):
    """What rules look at."""

    modality: str = ""
    body_part: str = ""
    description: str = ""
    slice_thickness: float | None = None
    sender: str = ""


class Rules(Strict):
    """The whole file.

    Attributes
    ----------
    node, quiet
        How it listens, and when a series is complete.
    destinations
        Receivers of results by name.
    rules
        The first that fits a series counts; a series that none fits is kept and not screened.
    """

    node: NodeSettings = NodeSettings()
    quiet: Quiet = Quiet()
    destinations: dict[str, Destination] = Field(default_factory=dict)
    rules: Annotated[tuple[Rule, ...], Field(min_length=1)]

    def rule_for(self, series: SeriesFacts) -> Rule | None:
        """Give the first rule that fits a series, None where none does."""
        return next((rule for rule in self.rules if rule.fits(series)), None)

    def rule_named(self, name: str) -> Rule | None:
        """Give a rule by name, None where it is there no more."""
        return next((rule for rule in self.rules if rule.name == name), None)


def read_rules(path: Path) -> Rules:
    """Read and check a file of rules.

    Parameters
    ----------
    path
        A YAML file.

    Raises
    ------
    ServeError
        If it can't be read, or anything in it is wrong: it tells the line and the reason.
    """
    from tamperscan.serve.yaml_lines import read_yaml

    content, lines = read_yaml(path)
    try:
        rules = Rules.model_validate(content)
    except ValidationError as error:
        raise ServeError(_in_words(path, error, lines)) from error
    for place, reason in _mismatches(rules):
        raise ServeError(f"{path}, line {lines.line_of(place)}: {reason}. Correct it, then start again.")
    return rules


def _mismatches(rules: Rules) -> Iterator[tuple[tuple[object, ...], str]]:
    """Find what is right by itself and does not fit the rest: its place, and what is wrong."""
    from tamperscan.data import packaged_weights

    detectors = ("auto", "published", *packaged_weights())
    names = [rule.name for rule in rules.rules]
    for number, rule in enumerate(rules.rules):
        place = ("rules", number)
        if names.index(rule.name) != number:
            yield (*place, "name"), f"two rules are called {rule.name!r}"
        for name in rule.send_to:
            if name not in rules.destinations:
                known = ", ".join(rules.destinations) or "none"
                yield (*place, "send_to"), f"{name!r} is no destination (there are: {known})"
        # Told now, and not with the first series at night.
        if rule.screen and rule.detector not in detectors and not Path(rule.detector).is_dir():
            yield (
                (*place, "detector"),
                f"{rule.detector!r} is no packaged detector ({', '.join(detectors)}) and no folder",
            )
        elif rule.screen and rule.head is not None and (problem := _why_no_head(rule, rule.head)):
            yield (*place, "head"), problem


def _why_no_head(rule: Rule, head: str) -> str:
    """Tell which detector of a rule lacks a head; empty where none does."""
    from tamperscan.detect.heads import heads_in
    from tamperscan.detect.load import find_weights

    for model in sorted({rule.model_for(modality) for modality in rule.when.modality or ("CT", "MR")}):
        heads: tuple[str, ...] = ()
        if model != "published":
            try:
                weights = find_weights(model)
            except TamperscanError as error:
                return str(error).removesuffix(".")
            heads = () if weights.card.kind == "published" else heads_in(weights)
        if head not in heads:
            return f"the detector {model!r} has no head {head!r} (it has: {', '.join(heads) or 'none'})"
    return ""


def _in_words(path: Path, error: ValidationError, lines: Any) -> str:
    """Tell the first problem with its line, and how many more there are."""
    problems = error.errors(include_url=False)
    first = problems[0]
    place = [part for part in first["loc"] if part not in ("dicom", "stow")]
    where = ".".join(str(part + 1) if isinstance(part, int) else str(part) for part in place) or "the file"
    reason = str(first["msg"]).removeprefix("Value error, ")
    more = f" ({len(problems) - 1} more after it)" if len(problems) > 1 else ""
    return f"{path}, line {lines.line_of(place)}: {where}: {reason}. Correct it, then start again{more}."


def _among(value: str, wanted: tuple[str, ...]) -> bool:
    return not wanted or value.strip().upper() in {one.upper() for one in wanted}
