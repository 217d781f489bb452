"""Parameters that a class inherits: stated once, in the signature and in the docs."""

from __future__ import annotations

import inspect
import re
from typing import Any, TypeVar

from sklearn.base import BaseEstimator

Estimator = TypeVar("Estimator", bound=BaseEstimator)

_SECTION = r"^{}\n-+\n(?P<body>.*?)(?=\n+[A-Z][\w ]*\n--+\n|\Z)"
_ENTRY = re.compile(r"^(?=\w+ : )", re.MULTILINE)


def inherit_parameters(cls: type[Estimator]) -> type[Estimator]:
    """Add the parameters of its parent to an estimator, where it does not state them itself.

    A subclass states in ``__init__`` its own parameters and those whose default differs,
    takes the others as ``**parameters`` and hands them on. This decorator shows all of
    them in the signature, where scikit-learn looks for them, and adds to the docstring
    what the parent's says of the parameters and attributes that the subclass's leaves out.
    """
    parent: Any = cls.__base__
    child: Any = cls
    own = inspect.signature(child.__init__)
    inherited = inspect.signature(parent.__init__).parameters
    variadic = inspect.Parameter.VAR_KEYWORD
    stated = {name: p for name, p in own.parameters.items() if p.kind is not variadic}
    child.__init__.__signature__ = own.replace(
        parameters=[*stated.values(), *(p for n, p in inherited.items() if n not in stated)]
    )
    child._parameter_constraints = parent._parameter_constraints | child._parameter_constraints
    if cls.__doc__ and parent.__doc__:
        for section in ("Parameters", "Attributes"):
            cls.__doc__ = _with_inherited_entries(cls.__doc__, parent.__doc__, section)
    return cls


def _with_inherited_entries(doc: str, parent_doc: str, section: str) -> str:
    doc, parent_doc = inspect.cleandoc(doc), inspect.cleandoc(parent_doc)
    entries = _entries(_body(parent_doc, section)) | _entries(body := _body(doc, section))
    own = list(_entries(body))
    names = own + [name for name in entries if name not in own]
    return doc.replace(body, "\n".join(entries[name] for name in names))


def _body(doc: str, section: str) -> str:
    match = re.search(_SECTION.format(section), doc, re.MULTILINE | re.DOTALL)
    if match is None:
        raise ValueError(f"No section {section!r} in the docstring:\n{doc}")
    return match["body"]


def _entries(body: str) -> dict[str, str]:
    entries = (entry.rstrip() for entry in _ENTRY.split(body) if entry)
    return {entry.split(" : ")[0]: entry for entry in entries}
