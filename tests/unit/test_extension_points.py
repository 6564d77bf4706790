"""Lists that a new event kind or a new field tool must be added to name all of them."""

from typing import get_args

import pytest

import pravah
from pravah.events import MODELS, Kind, Report
from producers.gateway.app import Hook
from producers.gateway.sources import Tool as SourceTool
from producers.mapping.tools import READERS, Tool
from producers.pulls.options import _OPTIONS, PULLED_TOOLS
from rollup.warm_up import _DATA
from tests.support import oracle
from tests.support.field_bodies import corpora
from tests.support.small_world import dictionary


def test_the_lists_of_kinds_name_the_same_kinds() -> None:
    union, _ = get_args(Report)
    assert set(get_args(Kind)) == set(MODELS)
    assert set(get_args(union)) == set(MODELS.values())


@pytest.mark.parametrize("kind", MODELS)
def test_a_kind_is_exported_warmed_up_and_fed_to_metrics(kind: str) -> None:
    model = MODELS[kind]
    assert model.__name__ in pravah.__all__
    assert model.model_fields["data"].annotation.model_validate(_DATA[kind])
    assert dictionary().of_kind(kind)


def test_the_oracle_knows_every_stock() -> None:
    assert {
        metric.metric for metric in dictionary().metrics.values() if metric.type == "stock"
    } == oracle.STOCKS


@pytest.mark.parametrize("kind", sorted(MODELS.keys() - {"tally"}))
def test_the_oracle_knows_the_amounts_of_a_kind(kind: str) -> None:
    amounts = oracle._amounts({"kind": kind, "data": _DATA[kind]})
    assert amounts.keys() <= {metric.metric for metric in dictionary().of_kind(kind)}


def test_the_lists_of_field_tools_name_the_same_tools() -> None:
    tools = set(get_args(Tool))
    assert set(READERS) == tools
    assert set(get_args(Hook)) == tools
    assert set(get_args(SourceTool)) == tools | {"events"}
    assert set(corpora.MAPPINGS) == set(corpora.SOURCES) == set(corpora.CORPORA) == tools
    assert set(_OPTIONS) == set(PULLED_TOOLS) <= tools
