"""Finding the line of a YAML or JSON document that an error is about."""

import yaml

from services.credits.domain.pricing.errors import Where


def line_of(document: str, where: Where) -> int:
    """Tell the line, from 1, of the place that `where` leads to, or of the last part of it that is there."""
    node, line = yaml.compose(document), 1
    for step in where:
        if isinstance(node, yaml.MappingNode):
            key, found = next(((key, value) for key, value in node.value if key.value == str(step)), (None, None))
        elif isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
            key = found = node.value[step]
        else:
            break
        if key is None or found is None:
            break
        node, line = found, key.start_mark.line + 1
    return line
