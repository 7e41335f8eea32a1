"""graph.py -- directed graphs with named kinds of edges: strongly connected components and shortest cycles.

A graph is {node: {node: {kind: why}}}."""

import collections


def add_edge(graph, a, b, kind, why):
    """Add an edge; the first reason of a kind stays.  No edges to oneself."""
    if a is not b:
        graph[a][b].setdefault(kind, why)


def new_graph():
    """An empty graph."""
    return collections.defaultdict(lambda: collections.defaultdict(dict))


def neighbours(graph, node, kinds):
    """The nodes that an edge of these kinds leads to."""
    return [b for b, edges in graph.get(node, {}).items() if not kinds.isdisjoint(edges)]


def components(graph, kinds):
    """The strongly connected components of more than one node (Tarjan 1972, without recursion)."""
    number, low, stack, on_stack, out = {}, {}, [], set(), []
    for root in list(graph):
        if root in number:
            continue
        work = [(root, iter(neighbours(graph, root, kinds)))]
        number[root] = low[root] = len(number)
        stack.append(root)
        on_stack.add(root)
        while work:
            node, following = work[-1]
            for other in following:
                if other not in number:
                    number[other] = low[other] = len(number)
                    stack.append(other)
                    on_stack.add(other)
                    work.append((other, iter(neighbours(graph, other, kinds))))
                    break
                if other in on_stack:
                    low[node] = min(low[node], number[other])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[node])
                if low[node] == number[node]:
                    out.append(take_component(node, stack, on_stack))
    return [c for c in out if len(c) > 1]


def take_component(root, stack, on_stack):
    """Everything on the stack down to the component's root."""
    found = set()
    while True:
        node = stack.pop()
        on_stack.discard(node)
        found.add(node)
        if node is root:
            return found


def path(graph, start, goal, kinds, within, steps_max):
    """The shortest path [start, ..., goal] over edges of these kinds within some nodes; None when it is longer."""
    came, todo, steps = {start: None}, [start], 0
    while todo and goal not in came and steps < steps_max:
        steps += 1
        reached = []
        for node in todo:
            for other in neighbours(graph, node, kinds):
                if other in within and other not in came:
                    came[other] = node
                    reached.append(other)
        todo = reached
    if goal not in came:
        return None
    out = [goal]
    while came[out[-1]] is not None:
        out.append(came[out[-1]])
    return out[::-1]


def cycle(graph, first, rest, within, rank, tries_max):
    """A short cycle [a, b, ...] whose edge a -> b is of a kind in first and whose others are of kinds in rest.

    The edges a -> b with the lowest rank(a, b) are tried; of what they give the shortest is taken."""
    edges = [(a, b) for a in within for b in neighbours(graph, a, first) if b in within]
    edges.sort(key=lambda edge: rank(*edge))
    best = None
    for a, b in edges[:tries_max]:
        back = path(graph, b, a, rest, within, len(best) - 2 if best else len(within))
        if back:
            best = [a] + back[:-1]
            if len(best) == 2:
                break
    return best
