"""Methods: ways of prompting that an experiment compares with stimuli and with each other.

A method is a class (`promptlab.methods.base.Method`) in the registry; a package of anybody's adds
one through the entry-point group `promptlab.methods`.
"""

from __future__ import annotations

from promptlab.methods.base import Context, Method
from promptlab.methods.registry import get_method, method_of, methods, origin

__all__ = ["Context", "Method", "get_method", "method_of", "methods", "origin"]
