"""Weak places of the overlap graph: frames whose loss would split the capture in two."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import networkx as nx

from splatlib.artifacts import FrameLink

_FEWEST_BEYOND = 3  # a frame or two at the end of a path hang by one link as a matter of course


@dataclass(frozen=True)
class WeakLink:
    """A frame that alone holds a part of the capture.

    Attributes:
        frame: its index.
        num_beyond: frames that its loss would cut off; the smaller sides together.
    """

    frame: int
    num_beyond: int


def weak_links(safe: Collection[int], links: Sequence[FrameLink]) -> list[WeakLink]:
    """Articulation points of the graph of frames that find their place, those that hold most first."""
    graph = nx.Graph()
    graph.add_nodes_from(safe)
    graph.add_edges_from((link.one, link.other) for link in links if link.one in graph and link.other in graph)
    found = []
    for frame in nx.articulation_points(graph):
        without = graph.copy()
        without.remove_node(frame)
        sizes = sorted(map(len, nx.connected_components(without)))
        if sum(sizes[:-1]) >= _FEWEST_BEYOND:
            found.append(WeakLink(frame, sum(sizes[:-1])))
    return sorted(found, key=lambda weak: (-weak.num_beyond, weak.frame))
