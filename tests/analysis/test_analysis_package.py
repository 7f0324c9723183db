from __future__ import annotations

import importlib
import pkgutil
import subprocess
import sys

import pytest

import promptlab.analysis as pa


def test_every_public_name_is_there_and_is_no_module() -> None:
    modules = {m.name for m in pkgutil.iter_modules(pa.__path__)}
    assert not modules & set(pa.__all__), "a module would hide the function of the same name"
    for name in pa.__all__:
        assert getattr(pa, name).__class__.__name__ != "module"
    assert set(pa.__all__) <= set(dir(pa))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        pa.nothing  # noqa: B018


def test_every_public_name_has_one_home() -> None:
    names = [name for names in pa._HOMES.values() for name in names.split()]
    assert sorted(names) == pa.__all__


def test_public_names_are_exported_by_their_modules() -> None:
    for name, module in pa._WHERE.items():
        assert name in importlib.import_module(f"promptlab.analysis.{module}").__all__


def test_importing_the_package_imports_nothing_heavy() -> None:
    code = (
        "import sys, promptlab.analysis;"
        "print([m for m in ('numpy', 'scipy', 'pandas', 'matplotlib') if m in sys.modules])"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert found.stdout.strip() == "[]"
