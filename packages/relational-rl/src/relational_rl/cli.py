"""The tasks of the command line: they turn the config into plain arguments and call the API."""

from __future__ import annotations

from dataclasses import asdict

from offprints import cldr
from offprints.app import Results, Run, command

from relational_rl.config import Config
from relational_rl.statistics import graph_statistics


def describe(config: Config, run: Run) -> Results:
    """Count what is in the embedded knowledge graph."""
    graph = cldr.knowledge_graph()
    run.dataset(graph.name, graph.checksums)
    triples = graph.all_triples
    if config.relation is not None:
        triples = triples[triples.relation == graph.relations.id(config.relation)]
    return Results({f"all/{name}": value for name, value in asdict(graph_statistics(triples)).items()})


main = command("relational_rl", Config, {"describe": describe}, "Relational Deep Reinforcement Learning")
