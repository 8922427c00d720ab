"""The tasks of the command line: they turn the config into plain arguments and call the API."""

from __future__ import annotations

from dataclasses import asdict

from offprints import cldr
from offprints.app import Results, Run, command

from __import_name__ import figures
from __import_name__.config import Config
from __import_name__.statistics import degrees, graph_statistics


def describe(config: Config, run: Run) -> Results:
    """Count what is in the embedded knowledge graph."""
    graph = cldr.knowledge_graph()
    run.dataset(graph.name, graph.checksums)
    triples = graph.all_triples
    if config.relation is not None:
        triples = triples[triples.relation == graph.relations.id(config.relation)]
    run.figure("degrees", figures.degrees(degrees(triples)), "How many facts each entity is in")
    return Results({f"all/{name}": value for name, value in asdict(graph_statistics(triples)).items()})


main = command("__import_name__", Config, {"describe": describe}, "__title__")
