"""Every figure of the page on ten million studies follows from its inputs."""

import ast
import math
import operator
import re
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[1] / "docs" / "scale.md").read_text()
INPUTS = {name: float(value.replace(",", "")) for name, value in re.findall(r"^\| ([A-Z]) \| ([\d.,]+) \|", PAGE, re.M)}
DERIVED = re.findall(r"^\| ([^|]+) \| ([\d.,]+) \| `([^`]+)` \|", PAGE, re.M)
OPERATIONS = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
}


def worked_out(node):
    """Evaluate plain arithmetic on the names of the inputs, and nothing else."""
    if isinstance(node, ast.Expression):
        return worked_out(node.body)
    if isinstance(node, ast.BinOp):
        return OPERATIONS[type(node.op)](worked_out(node.left), worked_out(node.right))
    return INPUTS[node.id] if isinstance(node, ast.Name) else float(node.value)


def test_there_are_figures():
    assert len(INPUTS) > 15
    assert len(DERIVED) > 20


@pytest.mark.parametrize(("what", "told", "formula"), DERIVED, ids=[what for what, _, _ in DERIVED])
def test_a_figure_follows_from_the_inputs(what, told, formula):
    value = worked_out(ast.parse(formula, mode="eval"))
    rounded = round(value, 2 - math.floor(math.log10(value)))
    assert float(told.replace(",", "")) == pytest.approx(rounded), f"{what}: write {rounded:,.6g}"


def test_every_input_is_used():
    used = {name for _, _, formula in DERIVED for name in re.findall(r"\b[A-Z]\b", formula)}
    assert used == INPUTS.keys()
