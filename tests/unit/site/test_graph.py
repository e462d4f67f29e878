"""The drawing of tables and models."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

from lakefeed.orchestration.inspect.overview import ModelOverview, TableOverview, overview
from lakefeed.site.graph import draw
from lakefeed.transformation.manifest import Model
from tests.conftest import Lake


def tables(folder: Path, *names: str) -> tuple[TableOverview, ...]:
    declared = "".join(f"      {name}: {{mode: full_refresh}}\n" for name in names)
    (folder / "sources.yaml").write_text(
        f"version: 1\nsources:\n  shop:\n    connection: ${{X}}\n    tables:\n{declared}"
    )
    return overview(Lake(folder).project, dt.datetime.now(dt.UTC)).tables


def a_model(name: str, reads_models: tuple[str, ...], *reads_tables: str) -> ModelOverview:
    return ModelOverview(
        Model(
            name=name,
            is_staging=bool(reads_tables),
            description="",
            reads_models=reads_models,
            reads_tables=reads_tables,
        ),
        None,
        0,
    )


def test_each_node_is_to_the_right_of_its_parents(tmp_path: Path) -> None:
    graph = draw(
        tables(tmp_path, "a", "b"),
        [
            a_model("stg_a", (), "shop__a"),
            a_model("dim", ("stg_a",)),
            a_model("fct", ("stg_a", "dim"), "shop__b"),
        ],
    )
    x = {node.name: node.x for node in graph.nodes}

    assert len(graph.nodes) == 5
    assert {(edge.source, edge.target) for edge in graph.edges} == {
        *(("shop.a", "stg_a"), ("stg_a", "dim"), ("stg_a", "fct"), ("dim", "fct")),
        ("shop.b", "fct"),
    }
    assert all(x[edge.source] < x[edge.target] for edge in graph.edges)


def test_nodes_do_not_overlap_and_stay_within_the_canvas(tmp_path: Path) -> None:
    graph = draw(tables(tmp_path, *"abcdefg"), [a_model("m", (), "shop__a", "shop__b")])

    assert len({(node.x, node.y) for node in graph.nodes}) == len(graph.nodes)
    assert max(node.x + graph.box[0] for node in graph.nodes) <= graph.width
    assert max(node.y + graph.box[1] for node in graph.nodes) <= graph.height


def test_a_lake_without_models_has_no_edges(tmp_path: Path) -> None:
    assert draw(tables(tmp_path, "a"), []).edges == ()


def test_a_box_is_as_wide_as_the_longest_name_needs(tmp_path: Path) -> None:
    name = "a_model_whose_name_has_forty_characters_x"

    graph = draw(tables(tmp_path, "a"), [a_model(name, (), "shop__a")])

    assert [node.label for node in graph.nodes] == ["shop.a", name]
    assert graph.box[0] > len(name) * 7
