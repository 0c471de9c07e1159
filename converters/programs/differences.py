"""Where two networks part, layer by layer, in words."""

import collections

_DEEP = 3


def between(ends, outputs, pairs, table):
    """Layer -> what the prototxt says of it, and what the network has.

    Args:
        ends: steps of the prototxt whose cones are the whole of it.
        outputs: of the model.
        pairs: `(prototxt's step, model's step, who reads them)` to begin with; layers that both have once are
            compared wherever they stand.
        table: which layer is which.
    """
    theirs, ours = _by_key(ends), _by_key(outputs)
    labels = {key: steps[0].name for key, steps in theirs.items()}
    labels |= {key: _label(table, key) for key in ours if key not in labels}
    once = [(theirs[key][0], ours[key][0], "") for key in ours if len(theirs.get(key, ())) == len(ours[key]) == 1]
    # A step's cone comes behind it: the layers nearest to the image first.
    found = {labels[key]: "the prototxt has no such layer" for key in reversed(ours) if key not in theirs}
    return found | _walk([*pairs, *once], labels)


def _by_key(ends):
    found = collections.defaultdict(list)
    for step in {id(one): one for end in ends for one in end.cone()}.values():
        if step.key:
            found[step.key].append(step)
    return found


def _label(table, key):
    """A Keras layer's name in the prototxt's own words, where the table has them."""
    names = (table.backward(f"{key}/{variable}") for variable in ("kernel", "moving_mean"))
    return next((found[0].rpartition(".")[0] for found in names if found), key)


def _walk(pairs, labels):
    found, seen, waiting = {}, set(), list(pairs)
    while waiting:
        theirs, ours, reader = waiting.pop()
        if theirs.number == ours.number or (id(theirs), id(ours)) in seen:
            continue
        seen.add((id(theirs), id(ours)))
        if theirs.key and theirs.key == ours.key and theirs.op != ours.op:
            found[theirs.name] = f"is a {theirs.op}; in the network a {ours.op}"
            continue
        if (theirs.op, theirs.key) != (ours.op, ours.key):
            says = f"reads {_words(theirs, labels)}; in the network, {_words(ours, labels)}"
            found.setdefault(reader or theirs.name, says)
            continue
        facts = [
            f"{fact} {_plain(theirs.facts.get(fact))}; in the network {_plain(ours.facts.get(fact))}"
            for fact in dict.fromkeys([*theirs.facts, *ours.facts])
            if theirs.facts.get(fact) != ours.facts.get(fact)
        ]
        if len(theirs.inputs) != len(ours.inputs):
            facts.append(f"reads {len(theirs.inputs)} maps; in the network {len(ours.inputs)}")
        else:
            matched = _matched(theirs, ours)
            waiting += [(*pair, theirs.name) for pair in matched]
            if theirs.op == "concatenation" and any(
                one is not other for (_, one), other in zip(matched, ours.inputs, strict=True)
            ):
                facts.append(f"reads {_words(theirs, labels)}; in the network, {_words(ours, labels)}")
        if facts:
            found[theirs.name] = ", ".join(facts)
    return found


def _matched(theirs, ours):
    """The inputs of two steps, two by two: equal ones first, then those that have most in common."""
    rest, best = list(ours.inputs), {}
    known = {other.number for other in rest}
    for one in sorted(theirs.inputs, key=lambda one: one.number not in known):
        best[id(one)] = max(rest, key=lambda other: (one.number == other.number, _common(one, other)))
        rest.remove(best[id(one)])
    return [(one, best[id(one)]) for one in theirs.inputs]


def _common(one, other):
    return len({step.number for step in one.cone()} & {step.number for step in other.cone()})


def _words(step, labels, deep=0):
    """A map in words, as far as the next layers with weights."""
    if step.key:
        return labels.get(step.key, step.name)
    if not step.inputs:
        return f"the {step.op}" if step.op == "image" else step.op
    if deep == _DEEP:
        return "..."
    return f"{step.op} of {' and '.join(_words(one, labels, deep + 1) for one in step.inputs)}"


def _plain(value):
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple) and len(value) > 1 and len(set(value)) == 1:
        return _plain(value[:1] if isinstance(value[0], tuple) else value[0])
    if isinstance(value, tuple) and value and isinstance(value[0], tuple):  # padding, of rows and of columns
        return " and ".join(_plain(one) if one[0] == one[1] else f"{one[0]} before, {one[1]} behind" for one in value)
    if isinstance(value, tuple):
        return " x ".join(map(_plain, value))
    return f"{value:g}" if isinstance(value, float) else str(value)
